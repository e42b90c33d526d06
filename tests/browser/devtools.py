"""Chrome's developer tools as a page that is scripted: their own export and import of HAR files.

The frontend is bundled with the browser and loads in a tab of its own. Its modules are those that the Network panel
uses, so what is exported is what "Export HAR" saves, and what is imported is what "Import HAR" shows. Neither is a
public interface: a later browser may name them differently.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from .chromium import Tab

_MODULES = """
const names = ["core/common/common.js", "core/sdk/sdk.js", "models/har/har.js", "models/logs/logs.js"];
const [Common, SDK, HAR, Logs] = await Promise.all(
  names.map(name => import(`devtools://devtools/bundled/${name}`))
);
"""

# A command of the domain that reports requests: what was reported before it is here when its answer is.
_SETTLED = """
const manager = SDK.TargetManager.TargetManager.instance();
const target = manager.primaryPageTarget();
await target.networkAgent().invoke_setCacheDisabled({cacheDisabled: false});
"""

_READY = """
const soon = () => new Promise(resolve => setTimeout(resolve, 20));
const sdk = await import("devtools://devtools/bundled/core/sdk/sdk.js");
const found = () => sdk.TargetManager.TargetManager.instance().primaryPageTarget();
while (!found()?.model(sdk.NetworkManager.NetworkManager)) await soon();
"""

_EXPORT = """
const progress = new Common.Progress.CompositeProgress(new Common.Progress.Progress());
const requests = Logs.NetworkLog.NetworkLog.instance().requests();
return await HAR.Writer.Writer.harStringForRequests([...requests], {sanitize}, progress);
"""

_IMPORT = """
const root = new HAR.HARFormat.HARRoot(JSON.parse(text));
return HAR.Importer.Importer.requestsFromHARLog(root.log).map(request => ({
  url: request.url(),
  method: request.requestMethod,
  status: request.statusCode,
  type: request.resourceType().name(),
  frames: request.frames().map(({type, opCode, text, time}) => ({type, opCode, text, time})),
}));
"""


@dataclass(frozen=True)
class Frame:
    """A message of a WebSocket as Chrome has it.

    Args:
        type: "send", "receive" or "error".
        opcode: 1 for text and 2 for binary; -1 for an error.
        text: what was said; base64 if it is binary.
        time: seconds since 1970.
    """

    type: str
    opcode: int
    text: str
    time: float


@dataclass(frozen=True)
class Request:
    """A row of the Network panel."""

    url: str
    method: str
    status: int
    type: str
    frames: list[Frame]


class DevTools:
    """Developer tools that are opened on a page, and see what it does from then on.

    Args:
        page: the page that is looked at.
    """

    def __init__(self, page: Tab) -> None:
        self.page = page
        where = f"ws=127.0.0.1:{page.browser.port}/devtools/page/{page.target}"
        url = f"devtools://devtools/bundled/devtools_app.html?{where}"
        self.tab = page.browser.open(url)
        self.tab.loaded(url)
        self.tab.evaluate(_READY)
        self.tab.evaluate(_MODULES + _SETTLED)

    def exported(self, *, sanitize: bool = False) -> dict[str, Any]:
        """Return the HAR that Chrome exports for what the page did.

        Args:
            sanitize: leave cookies and credentials out, as Chrome does unless it is asked for them.
        """
        text = self.tab.evaluate(_MODULES + _SETTLED + _EXPORT, sanitize=sanitize)
        har: dict[str, Any] = json.loads(text)
        return har

    def imported(self, har: dict[str, Any]) -> list[Request]:
        """Return what Chrome makes of a HAR, in the order in which it lists the requests."""
        rows = self.tab.evaluate(_MODULES + _IMPORT, text=json.dumps(har))
        return [
            Request(
                url=row["url"],
                method=row["method"],
                status=row["status"],
                type=row["type"],
                frames=[Frame(each["type"], each["opCode"], each["text"], each["time"]) for each in row["frames"]],
            )
            for row in rows
        ]

    def close(self) -> None:
        """Close the developer tools, not the page."""
        self.tab.close()
