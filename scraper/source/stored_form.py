"""What is stored in a compressed form (--store-compressed), and how it is called then.

Keys are made before anything is asked, so the name alone decides. A body whose URL or key already
ends as compressed files do (.gz, .zip, .jpg and so on) keeps its name and its bytes. All others
get the ending of the form, unless they have it already.

Owns: these names. Does not know: compression (`transfer/compression.py`), how keys are made.
Rejected: the media type. It is known when the response comes, and then the key can't change.
"""

from scraper.model.records import Target
from scraper.model.stored_forms import ENDINGS

_MOST_BYTES = 255  # of a name
_MARKED_BYTES = 200  # of a name that is too long, and gets a mark
# Pictures, sound, films, fonts, archives and documents that are archives.
_COMPRESSED = frozenset(
    (
        *("gz", "tgz", "zst", "zstd", "br", "bz2", "tbz", "tbz2", "xz", "txz", "lz4", "lzma"),
        *("7z", "zip", "rar", "cab", "jar", "apk", "whl", "epub", "crx", "xpi", "deb", "rpm"),
        *("docx", "xlsx", "pptx", "odt", "ods", "odp", "svgz"),
        *("jpg", "jpeg", "png", "gif", "webp", "avif", "heic", "heif", "jxl", "jp2"),
        *("mp3", "m4a", "aac", "ogg", "oga", "opus", "flac", "wma"),
        *("mp4", "m4v", "mov", "mkv", "webm", "ogv", "wmv", "flv", "mpg", "mpeg"),
        *("woff", "woff2"),
    )
)


def in_form(target: Target, form: str) -> Target:
    """`target` with its key and the form that its body is stored in: `gzip` or `zstd`."""
    ending, key = ENDINGS[form], target.key
    stem = key.removesuffix(ending)
    path = target.url.partition("?")[0]
    if _is_compressed(path.rpartition("/")[2]) or _is_compressed(stem.rpartition("/")[2]):
        return target
    return target._replace(key=_short(stem, ending), compressed=form)


def plain_key(target: Target) -> str:
    """The key without what `in_form` has added."""
    ending = ENDINGS.get(target.compressed)
    return target.key if ending is None else target.key.removesuffix(ending)


def _is_compressed(name: str) -> bool:
    return name.rpartition(".")[2].lower() in _COMPRESSED if "." in name else False


def _short(stem: str, ending: str) -> str:
    """The key. What would be too long with the ending, for a file system or a store, is cut."""
    if len(stem) <= _MARKED_BYTES and stem.isascii():
        return stem + ending
    from scraper.source.keys import MAX_KEY_BYTES, mark

    above, slash, name = stem.rpartition("/")
    data = name.encode("utf-8", "surrogateescape")
    left = MAX_KEY_BYTES - len(f"{above}{slash}".encode("utf-8", "surrogateescape"))
    most = min(_MOST_BYTES, left) - len(ending)
    if len(data) <= most:
        return stem + ending
    marked = mark(name)
    most = min(_MARKED_BYTES, most - len(marked))
    if most < 1:  # nothing is left of the name: the directory above is cut
        above = above.encode("utf-8", "surrogateescape")[:-_MOST_BYTES].decode("utf-8", "ignore")
        return _short(f"{above.rstrip('/')}{mark(stem)}", ending)
    return f"{above}{slash}{data[:most].decode('utf-8', 'ignore')}{marked}{ending}"
