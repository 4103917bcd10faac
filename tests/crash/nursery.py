"""Imported by the process that servers are forked from, so that it has one put together already."""

import child

child.unborn()
