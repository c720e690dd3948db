"""Whether the files of a shard are whole, unchanged and of one another; which document is damaged if they are not."""

from __future__ import annotations

from pathlib import Path

from megakor.corpus.index_file import IndexFile, check_structure
from megakor.corpus.inspection.findings import Findings
from megakor.corpus.inspection.manifest_check import check_counts, check_manifest
from megakor.corpus.inspection.rows_check import check_every_row, check_row_count, has_rows
from megakor.corpus.inspection.shard_report import ShardReport, VerifyOptions, noting, sentence_of
from megakor.corpus.inspection.token_check import Advance, Standard, check_tokens, has_checksums
from megakor.corpus.manifest import Manifest, is_as_written, read_manifest
from megakor.corpus.metadata import metadata_rows
from megakor.corpus.row_file import SUFFIX as ROWS_SUFFIX
from megakor.corpus.shard import bin_path, idx_path, read_header
from megakor.corpus.shard_writer import shard_file, shard_files
from megakor.errors import DataError
from megakor.storage import hash_of_pieces, hash_pieces


def verify_shard(prefix: Path, options: VerifyOptions, advance: Advance = lambda _: None) -> ShardReport:
    """Check one shard. `advance` is told the bytes of .bin as they are done. Damage is reported, not raised.

    A file that this user may not read is no damage: it is reported apart, and nothing is checked.
    """
    report = ShardReport(prefix, Findings(options.findings_kept))
    report.unreadable += _forbidden(prefix)
    if report.unreadable:
        return report
    index = _open_index(prefix, report)
    if index is None:
        return report
    _check_bin_size(index, report)
    manifest = _check_manifest(index, options, report)
    rows = _check_metadata_rows(index, report)
    _check_row_file(index, manifest, report, options.quick)
    if options.quick:
        if not report.findings.count:
            with noting(report, idx_path(prefix)):
                read_header(prefix)
        return report
    sound = _check_index(index, report)
    _check_side_files(index, manifest, rows and sound, report)
    if _size(bin_path(prefix)) == index.bin_bytes:
        standard = Standard(manifest, options.tokenizer, sound, rows and sound and has_checksums(index, report))
        check_tokens(index, standard, options, report, advance)
    else:
        report.unchecked.append("the tokens, because the .bin has another size than it should have")
    return report


def _forbidden(prefix: Path) -> list[str]:
    found = []
    for path in shard_files(prefix):
        try:
            path.open("rb").close()
        except PermissionError as error:
            found.append(f"{path}: cannot be read: {error.strerror}")
        except OSError:
            continue  # what is missing or damaged is found below
    return found


def _open_index(prefix: Path, report: ShardReport) -> IndexFile | None:
    try:
        index = IndexFile.open(prefix)
        bytes_ = index.bin_bytes
    except (DataError, OSError) as error:
        report.findings.add(idx_path(prefix), sentence_of(error, idx_path(prefix)))
        return None
    report.documents, report.tokens, report.bytes = index.documents, bytes_ // index.dtype.itemsize, bytes_
    return index


def _check_bin_size(index: IndexFile, report: ShardReport) -> None:
    path = bin_path(index.prefix)
    size = _size(path)
    report.checked.append("sizes and headers")
    if size is None:
        report.findings.add(path, "is missing, or cannot be read")
    elif size > index.bin_bytes or index.bin_bytes < 0:
        report.findings.add(path, f"has {size:,} bytes, {idx_path(index.prefix).name} describes {index.bin_bytes:,}")
    elif size < index.bin_bytes:
        with noting(report, path):
            first = max(0, index.first_document_at(size // index.dtype.itemsize + 1) - 1)
            report.findings.add(
                path,
                f"has {size:,} bytes, {idx_path(index.prefix).name} describes {index.bin_bytes:,}: it is cut off in "
                f"document {first:,} of {index.documents:,}, or is of another shard",
            )


def _check_manifest(index: IndexFile, options: VerifyOptions, report: ShardReport) -> Manifest | None:
    path = shard_file(index.prefix, ".json")
    with noting(report, path):
        manifest = read_manifest(index.prefix)
        if manifest is None:
            report.unchecked.append("what the manifest would tell, because there is none")
            return None
        report.checked.append("manifest")
        report.padding = min(manifest.padding_tokens, report.tokens)
        report.tokens -= report.padding
        check_manifest(index, manifest, options.tokenizer, report.findings)
        original = is_as_written(index.prefix)
        if original is None and manifest.checksums:
            report.findings.add(path, "has lost its digest of itself: it is damaged, or somebody edited it")
        elif original is None:
            report.unchecked.append("changes of the manifest, because it has no digest of itself")
        elif not original:
            report.findings.add(path, "was changed after it was written (its digest differs)")
        return manifest
    return None


def _check_metadata_rows(index: IndexFile, report: ShardReport) -> bool:
    """Whether there is metadata with a row for each document."""
    path = shard_file(index.prefix, ".parquet")
    with noting(report, path):
        rows = metadata_rows(index.prefix)
        if rows == index.documents:
            return True
        if rows is None:
            report.unchecked.append("single documents, because there is no metadata with their checksums")
        else:
            report.findings.add(path, f"has {rows:,} rows for {index.documents:,} documents; it is of another shard")
    return False


def _check_row_file(index: IndexFile, manifest: Manifest | None, report: ShardReport, quick: bool) -> None:
    report.rows = has_rows(index)
    if not report.rows:
        return
    with noting(report, shard_file(index.prefix, ROWS_SUFFIX)):
        check_row_count(index, report.findings)
        if not quick:
            check_every_row(index, manifest, report.findings)
            report.checked.append("rows")


def _check_index(index: IndexFile, report: ShardReport) -> bool:
    before = report.findings.count
    with noting(report, idx_path(index.prefix)):
        check_structure(index, report.findings)
        report.checked.append("index")
    return report.findings.count == before


def _check_side_files(index: IndexFile, manifest: Manifest | None, countable: bool, report: ShardReport) -> None:
    """Hashes of the smaller files, and the counts of the manifest added up again."""
    hashes = manifest.checksums if manifest is not None else {}
    for name in sorted(hashes.keys() - {"bin"}):
        path = shard_file(index.prefix, f".{name}")
        with noting(report, path):
            size = path.stat().st_size
            if hash_of_pieces(hash_pieces(path, 0, size)) != hashes[name]:
                report.findings.add(path, "its bytes are not those that the manifest's checksum stands for (SHA-256)")
    if countable:
        with noting(report, shard_file(index.prefix, ".parquet")):
            check_counts(index, manifest, report.findings)
            report.checked.append("metadata")


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
