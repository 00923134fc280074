from .runner import Runner as Runner, RuntimeSettings as RuntimeSettings, SinkPolicy as SinkPolicy
