"""One transaction from the planned changes to the tree, and the way back.

Everything that is needed to go on or to go back is on disk before the first file of the tree is touched (`journal`);
each file is then replaced by a rename, so that at any moment it is whole, the old one or the new one (`store`). What was
interrupted, by an error, a full disk or `kill -9`, is taken back; what was being taken back is taken back to the end.
"""

from migration.transaction.change import Change, changes_of
from migration.transaction.disk import Disk
from migration.transaction.store import Store

__all__ = ["Change", "Disk", "Store", "changes_of"]
