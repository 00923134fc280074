from .lighting import Lighting as Lighting, Lights as Lights
from .mesh import HandMesh as HandMesh, Surface as Surface
from .noise import Noise as Noise
from .raycasting import Hits as Hits, RayScene as RayScene
from .skin import TONES as TONES, Skin as Skin, linear as linear
from .texture import Texture as Texture
