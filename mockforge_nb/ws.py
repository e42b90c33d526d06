"""MockForge's own names, over what `mockforge_nb` has."""

from __future__ import annotations

from .proxies import WsProxyConfig

__all__ = ["WsProxyConfig"]
