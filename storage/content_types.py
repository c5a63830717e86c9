"""The content type of a file, by its name alone and the same on every machine."""

DEFAULT = "application/octet-stream"
MIN_COMPRESSIBLE_BYTES = 1024

_TEXT = {
    "html": "text/html", "htm": "text/html", "xhtml": "application/xhtml+xml",
    "css": "text/css", "js": "text/javascript", "mjs": "text/javascript", "cjs": "text/javascript",
    "txt": "text/plain", "md": "text/markdown", "csv": "text/csv", "vtt": "text/vtt",
    "ics": "text/calendar", "vcf": "text/vcard",
}  # fmt: skip
_OTHER = {
    "json": "application/json", "map": "application/json", "jsonld": "application/ld+json",
    "geojson": "application/geo+json", "webmanifest": "application/manifest+json",
    "xml": "application/xml", "rss": "application/rss+xml", "atom": "application/atom+xml",
    "xsl": "application/xslt+xml", "svg": "image/svg+xml", "wasm": "application/wasm",
    "pdf": "application/pdf", "zip": "application/zip", "gz": "application/gzip",
    "tar": "application/x-tar", "7z": "application/x-7z-compressed", "epub": "application/epub+zip",
    "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "gif": "image/gif",
    "webp": "image/webp", "avif": "image/avif", "ico": "image/vnd.microsoft.icon",
    "bmp": "image/bmp", "tif": "image/tiff", "tiff": "image/tiff", "jxl": "image/jxl",
    "heic": "image/heic", "apng": "image/apng",
    "woff": "font/woff", "woff2": "font/woff2", "ttf": "font/ttf", "otf": "font/otf",
    "eot": "application/vnd.ms-fontobject",
    "mp3": "audio/mpeg", "ogg": "audio/ogg", "oga": "audio/ogg", "opus": "audio/ogg",
    "wav": "audio/wav", "m4a": "audio/mp4", "aac": "audio/aac", "flac": "audio/flac",
    "mp4": "video/mp4", "m4v": "video/mp4", "webm": "video/webm", "ogv": "video/ogg",
    "mov": "video/quicktime", "avi": "video/x-msvideo",
    "glb": "model/gltf-binary", "gltf": "model/gltf+json", "rtf": "application/rtf",
    "doc": "application/msword", "xls": "application/vnd.ms-excel",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
}  # fmt: skip
_WHOLE_NAMES = {
    "apple-app-site-association": "application/json",
    "cname": "text/plain; charset=utf-8",
    "license": "text/plain; charset=utf-8",
    "readme": "text/plain; charset=utf-8",
}
_COMPRESSIBLE = {
    "application/json", "application/xml", "application/wasm", "application/rtf",
    "application/vnd.ms-fontobject", "image/vnd.microsoft.icon", "image/bmp",
    "font/ttf", "font/otf",
}  # fmt: skip


def content_type_of(path: str) -> str:
    """Return the type a file is served with; text is UTF-8."""
    name = path.rpartition("/")[2].lower()
    if name in _WHOLE_NAMES:
        return _WHOLE_NAMES[name]
    extension = name.rpartition(".")[2] if "." in name else ""
    if extension in _TEXT:
        return f"{_TEXT[extension]}; charset=utf-8"
    return _OTHER.get(extension, DEFAULT)


def is_compressible(content_type: str) -> bool:
    """Tell whether compression is worth trying."""
    kind = content_type.partition(";")[0]
    return kind.startswith("text/") or kind.endswith(("+json", "+xml")) or kind in _COMPRESSIBLE
