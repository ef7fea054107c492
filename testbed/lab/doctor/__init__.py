# SPDX-License-Identifier: Apache-2.0
"""Is this computer fit for the testbed, and what did earlier crashes leave on it?

`survey` looks at everything side by side. `reading`, `processes` and `sockets` read. Pure functions
say what a reading means: `software`, `hardware`, `rights`, `quiet`, `standing`. `inventory`,
`orphans`, `removal` are about leftovers; `boot` starts a machine to see whether one starts.
"""
