# SPDX-License-Identifier: Apache-2.0
"""`python -m testbed`."""

from testbed.cli import main

main()
