# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the operator can do about an error of the file system."""

from __future__ import annotations

import errno


def explained(root: str, error: OSError) -> str:
    """The error with its remedy."""
    reason = f"{error.strerror or error} ({error.filename or root})"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the file system of {root} is full: {reason}. Free some space there and run again; one whole release is active."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"root: cannot write to {root}: {reason}. Publish as the user who owns it (become), on a writable file system."
    return f"cannot publish below {root}: {reason}."
