from .web import HandPage as HandPage
