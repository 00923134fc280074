from .scenery import Scenery as Scenery, make_scenery as make_scenery
