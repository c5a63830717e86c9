"""The rules an uploaded archive may break, and the sentence that tells of each.

A rule's value is public: it reaches clients in the answer to a refused upload.
"""

from enum import StrEnum


class ArchiveRule(StrEnum):
    """Stable names of the reasons to refuse an archive."""

    EMPTY_UPLOAD = "empty_upload"
    UNKNOWN_FORMAT = "unknown_format"
    NO_FILES = "no_files"
    NO_SINGLE_FOLDER = "no_single_folder"
    TRUNCATED = "truncated"
    TRAILING_DATA = "trailing_data"
    END_MISSING = "end_missing"
    BAD_STRUCTURE = "bad_structure"
    BAD_HEADER = "bad_header"
    BAD_NUMBER = "bad_number"
    BAD_EXTRA_FIELD = "bad_extra_field"
    BAD_COMPRESSION = "bad_compression"
    HEADER_MISMATCH = "header_mismatch"
    SIZE_MISMATCH = "size_mismatch"
    CHECKSUM_MISMATCH = "checksum_mismatch"
    UNICODE_PATH_MISMATCH = "unicode_path_mismatch"
    MULTI_DISK = "multi_disk"
    ENCRYPTED = "encrypted"
    UNSUPPORTED_METHOD = "unsupported_method"
    UNSUPPORTED_FLAG = "unsupported_flag"
    LINK = "link"
    SPECIAL_FILE = "special_file"
    SPARSE_FILE = "sparse_file"
    UNKNOWN_TYPE = "unknown_type"
    TYPE_MISMATCH = "type_mismatch"
    NOT_UTF8 = "not_utf8"
    EMPTY_NAME = "empty_name"
    NUL_IN_NAME = "nul_in_name"
    CONTROL_CHARACTER = "control_character"
    BACKSLASH = "backslash"
    ABSOLUTE_PATH = "absolute_path"
    DRIVE_LETTER = "drive_letter"
    PATH_TRAVERSAL = "path_traversal"
    DOT_COMPONENT = "dot_component"
    EMPTY_COMPONENT = "empty_component"
    ENCODED_SEPARATOR = "encoded_separator"
    NAME_TOO_LONG = "name_too_long"
    PATH_TOO_LONG = "path_too_long"
    DUPLICATE_NAME = "duplicate_name"
    NAME_COLLISION = "name_collision"
    FILE_AND_FOLDER = "file_and_folder"


SENTENCES: dict[ArchiveRule, str] = {
    ArchiveRule.EMPTY_UPLOAD: "The upload is empty.",
    ArchiveRule.UNKNOWN_FORMAT: "The upload is not a zip, tar or tar.gz archive.",
    ArchiveRule.NO_FILES: "The archive holds no files.",
    ArchiveRule.NO_SINGLE_FOLDER: "strip=1 needs an archive with exactly one folder at its top.",
    ArchiveRule.TRUNCATED: "The archive ends too early.",
    ArchiveRule.TRAILING_DATA: "There is data after the end of the archive.",
    ArchiveRule.END_MISSING: "The archive lacks its end marker.",
    ArchiveRule.BAD_STRUCTURE: "The parts of the archive overlap, leave gaps or contradict.",
    ArchiveRule.BAD_HEADER: "A header of the archive is damaged.",
    ArchiveRule.BAD_NUMBER: "A number in a header is malformed or negative.",
    ArchiveRule.BAD_EXTRA_FIELD: "An extended header is malformed.",
    ArchiveRule.BAD_COMPRESSION: "The compressed data is damaged.",
    ArchiveRule.HEADER_MISMATCH: "The two headers of an entry contradict each other.",
    ArchiveRule.SIZE_MISMATCH: "The size of an entry is not the one its header states.",
    ArchiveRule.CHECKSUM_MISMATCH: "The checksum of an entry is wrong.",
    ArchiveRule.UNICODE_PATH_MISMATCH: "The two names of an entry contradict each other.",
    ArchiveRule.MULTI_DISK: "The archive is one part of several.",
    ArchiveRule.ENCRYPTED: "The archive is encrypted.",
    ArchiveRule.UNSUPPORTED_METHOD: "The compression method is neither stored nor deflated.",
    ArchiveRule.UNSUPPORTED_FLAG: "An entry uses a feature that is not supported.",
    ArchiveRule.LINK: "Links are not accepted.",
    ArchiveRule.SPECIAL_FILE: "Devices, pipes and sockets are not accepted.",
    ArchiveRule.SPARSE_FILE: "Sparse files are not accepted.",
    ArchiveRule.UNKNOWN_TYPE: "The entry is neither a regular file nor a folder.",
    ArchiveRule.TYPE_MISMATCH: "The entry is a file by one sign and a folder by another.",
    ArchiveRule.NOT_UTF8: "The name is not UTF-8.",
    ArchiveRule.EMPTY_NAME: "The name is empty.",
    ArchiveRule.NUL_IN_NAME: "The name contains a NUL byte.",
    ArchiveRule.CONTROL_CHARACTER: "The name contains a control character.",
    ArchiveRule.BACKSLASH: "The name contains a backslash.",
    ArchiveRule.ABSOLUTE_PATH: "The name is an absolute path.",
    ArchiveRule.DRIVE_LETTER: "The name begins with a drive letter.",
    ArchiveRule.PATH_TRAVERSAL: "The name leaves the folder of the site.",
    ArchiveRule.DOT_COMPONENT: "A part of the name consists of dots and spaces only.",
    ArchiveRule.EMPTY_COMPONENT: "The name has two slashes in a row.",
    ArchiveRule.ENCODED_SEPARATOR: "The name hides a separator behind a percent sign.",
    ArchiveRule.NAME_TOO_LONG: "A part of the name is longer than 255 bytes.",
    ArchiveRule.PATH_TOO_LONG: "The name is longer than 1,024 bytes.",
    ArchiveRule.DUPLICATE_NAME: "Two entries have the same name.",
    ArchiveRule.NAME_COLLISION: "Two names differ only in case or in how letters are encoded.",
    ArchiveRule.FILE_AND_FOLDER: "The same name is a file and a folder.",
}
