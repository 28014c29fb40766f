"""What stays of a plain tar that is written anew without some of its members.

Another program may have written into it: directories, links, devices, two files of one name. All of
that stays, byte for byte, with the headers before it. What goes is a file that was removed, and
whatever a later file of ours takes the place of. A file that a hard link of another program refers
to stays even then: the link has no content of its own.

Owns: that choice. Does not know: how the bytes are copied, and a tar.gz, which has only files of
ours.
"""

from collections.abc import Callable, Iterator

from scraper.sinks.archives.members import Member, Members
from scraper.sinks.archives.tar_format import Head, head_of, read_head

Read = Callable[[int, int], bytes]
Ranges = Iterator[tuple[int, int]]


def kept(read: Read, end: int, members: Members) -> Ranges:
    """The bytes that stay, as ranges in order. `read(offset, size)` gives those of the tar.

    `members`: the files that were not removed. `end`: where the last member ends. Raises OSError,
    DestinationError.
    """
    links = Members()
    try:
        for head in _heads(read, end):
            if head.link:
                links.add(Member(head.link, head.start, head.data, head.end, 0, 0))
        for head in _heads(read, end):
            linked = head.is_file and links.find(head.name)
            if (linked and linked.offset > head.start) or _counts(head, read, members):
                yield head.start, head.end
            else:
                yield from head.shared
    finally:
        links.close()


def _heads(read: Read, end: int) -> Iterator[Head]:
    at = 0
    while at < end:
        head = read_head(read, at)
        assert head is not None, "it was read to its end when it was opened"
        yield head
        at = head.end


def _counts(head: Head, read: Read, members: Members) -> bool:
    """Whether it was not removed, and no later file of ours takes its place."""
    last = members.find(head.name)
    if last is None:
        return not head.is_file
    if last.offset <= head.start or head.is_directory:
        return True
    return not _is_ours(last, read)


def _is_ours(member: Member, read: Read) -> bool:
    """Whether its headers are as we write them."""
    ours = head_of(member.name, member.size, member.modified_s)
    return read(member.offset, member.data - member.offset) == ours
