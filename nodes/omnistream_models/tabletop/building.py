"""The MuJoCo model of one stage: a room with a table, and every shape, surface and pattern that its pictures choose from."""

from __future__ import annotations

from typing import Any

import numpy as np

from omnistream_models.fused.schema import KINDS
from omnistream_models.fused.world import SIZE
from omnistream_models.tabletop import kinds, textures
from omnistream_models.tabletop.setting import PATTERNS, SHAPES, SURFACES

__all__ = ["model"]

_LAMPS = 2
_HEIGHT_M = -0.72  # of the floor, from the table's top


def model(mujoco: Any, rng: np.random.Generator, test: bool) -> tuple[Any, Any]:
    """A compiled model of one lot, and its data: body `KINDn` for each shape, materials `surfaceN` and `patternN`, a camera.

    A geom whose first user value is above 0 bears its thing's colour.
    """
    spec = mujoco.MjSpec()
    spec.nuser_geom = 1
    spec.visual.headlight.diffuse = (0.1, 0.1, 0.1)
    spec.visual.headlight.specular = (0, 0, 0)
    spec.visual.quality.shadowsize = 1024
    spec.visual.quality.offsamples = 4
    spec.visual.map.znear, spec.visual.map.zfar = 0.05, 20
    spec.visual.global_.offwidth, spec.visual.global_.offheight = SIZE
    for n in range(SURFACES):
        _material(mujoco, spec, f"surface{n}", textures.surface(rng, test=test), 2, float(rng.uniform(0.5, 3)), 0.1)
    for n in range(PATTERNS):
        name = "even" if n == 0 else str(rng.choice(textures.PATTERNS[test]))
        _material(mujoco, spec, f"pattern{n}", textures.pattern(rng, name), 1, 0, float(rng.uniform(0, 0.6)))
    world, plane, slab = spec.worldbody, mujoco.mjtGeom.mjGEOM_PLANE, mujoco.mjtGeom.mjGEOM_BOX
    world.add_geom(name="floor", type=plane, size=(8, 8, 1), pos=(0, 0, _HEIGHT_M))
    world.add_geom(name="wall", type=slab, size=(6, 0.05, 2), pos=(0, float(rng.uniform(1.4, 2.5)), 1.0))
    edge = rng.uniform(0.58, 0.8)
    world.add_geom(name="table", type=slab, size=(edge, 0.66, 0.02), pos=(0, 0.5, -0.02))
    world.add_camera(name="eye")
    for _ in range(_LAMPS):
        world.add_light(ambient=(0, 0, 0), specular=(0.2, 0.2, 0.2), cutoff=80, exponent=0.5)
    for kind in KINDS:
        for n in range(SHAPES):
            _thing(mujoco, spec, f"{kind}{n}", kinds.shape(rng, kind, test=test))
    compiled = spec.compile()
    return compiled, mujoco.MjData(compiled)


def _material(mujoco: Any, spec: Any, name: str, image: np.ndarray, kind: int, repeat: float, shine: float) -> None:
    """`kind` 1: on all sides of a thing; 2: on a surface, so many times a metre."""
    side = textures.SIDE
    types = (mujoco.mjtTexture.mjTEXTURE_CUBE, mujoco.mjtTexture.mjTEXTURE_2D)
    texture = spec.add_texture(name=name, type=types[kind - 1], width=side, height=side, nchannel=3)
    texture.data = image.tobytes()
    material = spec.add_material(name=name, specular=shine, shininess=0.4, texuniform=kind == 2)
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name
    if kind == 2:
        material.texrepeat = (repeat, repeat)


def _thing(mujoco: Any, spec: Any, name: str, parts: kinds.Parts) -> None:
    body = spec.worldbody.add_body(name=name, pos=(0, 0, -5))
    for n, part in enumerate(parts):
        mesh = spec.add_mesh(name=f"{name}.{n}", inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL)
        mesh.uservert, mesh.userface = part.solid.vertices.reshape(-1), part.solid.faces.reshape(-1)
        geom = body.add_geom(type=mujoco.mjtGeom.mjGEOM_MESH, meshname=f"{name}.{n}", contype=0, conaffinity=0)
        geom.rgba = (*(part.rgb or (1, 1, 1)), 1)
        geom.userdata = [float(part.rgb is None)]
