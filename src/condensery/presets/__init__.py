"""Presets: what a table, a demo or a small machine changes of a method's settings.

A preset is a function of (method, data, per class), so that ``--preset small`` works on any data.
Each method's settings stand in the module of its name, whose functions say where they come from, on
what hardware they run how long, what to expect and whether that was verified. Flags come after
presets.
"""

from __future__ import annotations

from condensery.presets import cafe, dc, dm, dream, herding, hmdc, idc, idm, mosaic
from condensery.presets.base import Plan, Preset

PRESETS: dict[str, Preset] = {
    "demo": Preset("the demo: tiny images, about a minute on 2 cores", {"hmdc": hmdc.demo}, 1),
    "small": Preset(
        "images of about 32 x 32, clips of 5 s, texts of 64 tokens on 2 cores, minutes",
        {
            "hmdc": hmdc.small,
            "cafe": cafe.small,
            "idm": idm.small,
            "idc": idc.small,
            "dream": dream.small,
            "dc": dc.small,
            "dsa": dc.small_dsa,
            "dm": dm.small,
            "herding": herding.small,
        },
    ),
    "paper": Preset(
        "the papers' settings, for a GPU and hours",
        {
            "hmdc": hmdc.paper,
            "cafe": cafe.paper,
            "idm": idm.paper,
            "idc": idc.paper,
            "dream": dream.paper,
            "dc": dc.paper,
            "dsa": dc.paper_dsa,
            "dm": dm.paper,
        },
    ),
    "released": Preset(
        "released codes with their behaviours",
        {
            "hmdc": hmdc.released,
            "dc": dc.released,
            "dsa": dc.released_dsa,
            "dm": dm.released,
        },
    ),
    "hmdc-authors": Preset(
        "the others' methods as HMDC's authors re-implemented them",
        {
            "cafe": cafe.hmdc_authors,
            "idm": idm.hmdc_authors,
            "idc": idc.hmdc_authors,
            "dream": dream.hmdc_authors,
        },
    ),
    "table4": Preset("HMDC's Table 4: DREAM with a ViT", {"dream": dream.table4}),
    "smoke": Preset(
        "two steps with tiny networks, seconds",
        {
            "hmdc": hmdc.smoke,
            "cafe": cafe.smoke,
            "idm": idm.smoke,
            "idc": idc.smoke,
            "dream": dream.smoke,
            "dc": dc.smoke,
            "dsa": dc.smoke_dsa,
            "dm": dm.smoke,
            "herding": herding.smoke,
            "mosaic": mosaic.smoke,
        },
        1,
    ),
}

__all__ = ["PRESETS", "Plan", "Preset"]
