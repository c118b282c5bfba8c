"""A MuJoCo model with shapes, surfaces, lamps and a camera of one lot, in which many settings are rendered one by one.

To compile a model and hand its textures to OpenGL takes longer than to render a picture, so what cannot be changed
afterwards (shapes, textures) is shared by the pictures of one stage, and all else is set anew for each.
"""

from __future__ import annotations

import os
import sys
import weakref
from typing import Any, NamedTuple

import numpy as np

from omnistream.errors import ModelError
from omnistream_models.fused.world import SIZE
from omnistream_models.tabletop import building
from omnistream_models.tabletop.setting import Setting

__all__ = ["Shot", "Stage", "mujoco_or_why_not"]

_NO_GL = "scenes cannot be rendered here ({}); on Debian or Ubuntu: apt-get install libegl1 libgl1-mesa-dri"
_HIDDEN = 5  # a group of geoms that the renderer leaves out


class Shot(NamedTuple):
    """`image` (H, W, 3) uint8 RGB; `owners` (H, W) int16: the number of the thing that each pixel shows, -1 for none.

    `whole` (N, 4) float64: the box about each thing as if nothing stood before it, which may reach out of the picture.
    """

    image: np.ndarray
    owners: np.ndarray
    whole: np.ndarray


def mujoco_or_why_not() -> Any:
    """The package, ready to render without a screen. Raises ModelError with what to install where it cannot."""
    if sys.platform == "linux":
        os.environ.setdefault("MUJOCO_GL", "egl")
    try:
        import mujoco  # pyright: ignore[reportMissingImports]  (an extra)
    except ImportError as e:
        raise ModelError(f'scenes are rendered by MuJoCo, which is not here ({e}): pip install "omnistream[scenes]"') from e
    except Exception as e:  # it loads OpenGL at once, and each binding of that has errors of its own
        raise ModelError(_NO_GL.format(str(e).splitlines()[0])) from e
    return mujoco


class Stage:
    """The stage of a seed and number. Raises ModelError where it cannot be rendered here."""

    def __init__(self, seed: int, number: int, *, test: bool) -> None:
        self._mujoco = mujoco_or_why_not()
        self._model, self._data = building.model(self._mujoco, np.random.default_rng((seed, number, int(test))), test)
        try:
            self._renderer = self._mujoco.Renderer(self._model, SIZE[1], SIZE[0])
        except Exception as e:  # each binding of OpenGL has its own
            raise ModelError(_NO_GL.format(str(e).splitlines()[0])) from e
        self._end = weakref.finalize(self, self._renderer.close)  # before Python takes OpenGL apart at its end
        self._geoms = [self._geoms_of(b) for b in range(self._model.nbody)]

    def close(self) -> None:
        """Give the memory of OpenGL back."""
        self._end()

    def shoot(self, setting: Setting, rng: np.random.Generator) -> Shot:
        """The picture of a setting, with the camera's noise by `rng`, and whose pixels are whose."""
        bodies = self._place(setting)
        self._light(setting)
        self._mujoco.mj_kinematics(self._model, self._data)
        self._mujoco.mj_comPos(self._model, self._data)
        self._mujoco.mj_camlight(self._model, self._data)
        self._renderer.update_scene(self._data, camera=0)
        clean = self._renderer.render().astype(np.float32)
        self._renderer.enable_segmentation_rendering()
        geoms = self._renderer.render()[..., 0]
        self._renderer.disable_segmentation_rendering()
        owner_of = np.full(self._model.ngeom + 1, -1, np.int16)
        for n, body in enumerate(bodies):
            owner_of[self._geoms[body]] = n
        whole = np.array([self._box(body, setting) for body in bodies]).reshape(-1, 4)
        image = np.clip(clean + rng.normal(0, setting.noise, clean.shape), 0, 255).astype(np.uint8)
        return Shot(image, owner_of[geoms], whole)

    def _geoms_of(self, body: int) -> np.ndarray:
        first = int(self._model.body_geomadr[body])
        return np.arange(first, first + int(self._model.body_geomnum[body]))

    def _place(self, setting: Setting) -> list[int]:
        """Put the things where they are, and hide all others. Returns their bodies."""
        model, bodies = self._model, list[int]()
        model.geom_group[:] = np.where(model.geom_bodyid > 0, _HIDDEN, 0)
        for thing, looks in zip(setting.things, setting.looks, strict=True):
            body = int(model.body(f"{thing.kind}{looks.shape}").id)
            bodies.append(body)
            model.body_pos[body] = (thing.x, thing.y, 0)
            model.body_quat[body] = (np.cos(looks.yaw_rad / 2), 0, 0, np.sin(looks.yaw_rad / 2))
            for geom in self._geoms[body]:
                model.geom_group[geom] = 0
                if model.geom_user[geom, 0] > 0:  # bears the thing's colour
                    model.geom_rgba[geom] = (*looks.rgb, 1)
                    model.geom_matid[geom] = model.material(f"pattern{looks.pattern}").id
        for name, number in zip(("table", "floor", "wall"), setting.surfaces, strict=True):
            model.geom_matid[model.geom(name).id] = model.material(f"surface{number}").id
        return bodies

    def _light(self, setting: Setting) -> None:
        model = self._model
        model.vis.headlight.ambient[:] = setting.ambient
        model.light_active[:] = 0
        for n, light in enumerate(setting.lights):
            model.light_active[n] = 1
            model.light_pos[n] = light.position
            model.light_dir[n] = np.subtract((0, 0.5, 0), light.position)
            model.light_diffuse[n] = light.rgb
            model.light_castshadow[n] = light.shadow
        quat = np.zeros(4)
        self._mujoco.mju_mat2Quat(quat, setting.view.axes().reshape(-1))
        model.cam_pos[0], model.cam_quat[0] = setting.view.position, quat
        model.cam_fovy[0] = np.degrees(setting.view.fov_rad)

    def _box(self, body: int, setting: Setting) -> tuple[float, float, float, float]:
        model, corners = self._model, list[np.ndarray]()
        for geom in self._geoms[body]:
            mesh = int(model.geom_dataid[geom])
            first = int(model.mesh_vertadr[mesh])
            points = model.mesh_vert[first : first + int(model.mesh_vertnum[mesh])]
            placed = points @ self._data.geom_xmat[geom].reshape(3, 3).T + self._data.geom_xpos[geom]
            corners.append(setting.view.project(placed))
        uv = np.concatenate(corners)
        (x0, y0), (x1, y1) = uv.min(0), uv.max(0)
        return float(x0), float(y0), float(x1), float(y1)
