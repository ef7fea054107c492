# SPDX-License-Identifier: Apache-2.0
"""The guests over SSH: connections, the agent, files and commands."""
