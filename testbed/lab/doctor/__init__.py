# SPDX-License-Identifier: Apache-2.0
"""Is this computer fit for the testbed, and what did earlier crashes leave on it?

`survey` looks at everything side by side. What a reading means is said by pure functions
(`software`, `hardware`, `rights`, `quiet`, `standing`); what is read, and how, is in
`reading`, `processes`, `sockets`. `inventory`, `orphans`, `removal` are about leftovers;
`boot` starts a machine to see whether one starts.
"""
