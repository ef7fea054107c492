# SPDX-License-Identifier: Apache-2.0
"""Everything done in the guests: sources and builds, the hook, jobs, and undoing it all."""
