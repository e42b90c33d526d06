"""MockForge's own names, over what `mockforge_nb` has."""

from __future__ import annotations

from .augmentation import (
    ConditionAction,
    EventCondition,
    EventStrategy,
    ReplayAugmentationConfig,
    ReplayMode,
    WebSocketAiConfig,
    change_rate,
    chat_messages_scenario,
    iot_sensor_scenario,
    stock_market_scenario,
    transition_scenario,
)
from .eventstreams import AiEventGenerator
from .proxies import WsProxyConfig

__all__ = [
    "AiEventGenerator",
    "ConditionAction",
    "EventCondition",
    "EventStrategy",
    "ReplayAugmentationConfig",
    "ReplayMode",
    "WebSocketAiConfig",
    "WsProxyConfig",
    "change_rate",
    "chat_messages_scenario",
    "iot_sensor_scenario",
    "stock_market_scenario",
    "transition_scenario",
]
