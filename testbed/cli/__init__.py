# SPDX-License-Identifier: Apache-2.0
"""The command line: words to verbs, failures to messages and exit codes.

Only what every command needs is imported here; a verb's libraries load with it.
"""

from testbed.cli.entry import main

__all__ = ["main"]
