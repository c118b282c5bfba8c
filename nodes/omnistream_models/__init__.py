"""Model weights that OmniStream's nodes use: named, pinned, pulled on demand, checked by digest."""

from __future__ import annotations

from omnistream_models.cached import cache_dir, cached_files
from omnistream_models.registry import Model, Package, registry
from omnistream_models.store import is_cached, model_digests, model_path, pull

__all__ = ["Model", "Package", "cache_dir", "cached_files", "is_cached", "model_digests", "model_path", "pull", "registry"]
