"""What a person's arguments mean, and what is passed over whatever they say."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from roost.actors.documents import Discovery, Limits, discover
from roost.actors.documents.errors import AddressRefused, FetchFailed, NoSuchDocument, NothingToRead, TooManyDocuments


@pytest.fixture
def nest(tmp_path: Path) -> Path:
    """An empty folder, as a real path."""
    folder = Path(os.path.realpath(tmp_path)) / "nest"
    folder.mkdir()
    return folder


def write(folder: Path, *names: str, text: str = "Some words.\n") -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def found(folder: Path, *arguments: str, limits: Limits | None = None) -> list[str]:
    """What is found, relative to `folder`."""
    sources = discover(arguments or [str(folder)], limits=limits).sources
    return [os.path.relpath(source.location, folder) for source in sources]


def reasons(folder: Path, discovery: Discovery) -> dict[str, str]:
    return {os.path.relpath(skipped.location, folder): skipped.reason for skipped in discovery.skipped}


def test_a_folder_is_read_in_sorted_order_whatever_is_below(nest: Path) -> None:
    write(nest, "b.md", "a/z.md", "a/b/c.txt", "a.md", "c.pdf.md")
    assert found(nest) == ["a/b/c.txt", "a/z.md", "a.md", "b.md", "c.pdf.md"]


def test_a_source_has_its_real_path_its_size_and_a_name_as_it_was_given(
    nest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(nest, "docs/a.md", text="12345")
    monkeypatch.chdir(nest)
    (source,) = discover(["docs"]).sources
    assert (source.kind, source.location, source.name, source.size) == ("file", str(nest / "docs/a.md"), "docs/a.md", 5)


def test_the_same_document_is_read_once(nest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(nest, "a.md", "b.md")
    (nest.parent / "link.md").symlink_to(nest / "a.md")
    monkeypatch.chdir(nest)
    arguments = ["b.md", "./b.md", str(nest), str(nest.parent / "link.md"), "*.md", "-", "-", "http://example.com/a#x"]
    sources = discover([*arguments, "HTTP://EXAMPLE.com:80/a"]).sources
    assert [os.path.basename(source.location) for source in sources] == ["b.md", "a.md", "-", "a"]
    assert [source.kind for source in sources] == ["file", "file", "stdin", "url"]
    assert sources[3].location == "http://example.com/a"


def test_gitignore_is_heeded_with_nested_files_and_negations(nest: Path) -> None:
    write(
        nest, "keep.md", "drop.log", "important.log", "build/out.md", "sub/drop.md", "sub/keep.md", "sub/deep/drop.md"
    )
    write(nest, "sub/deep/build/in.md", "temp/a.md", "only/root.md", "sub/only/root.md")
    write(nest, ".gitignore", text="*.log\n!important.log\nbuild/\ntemp\n/only\n")
    write(nest / "sub", ".gitignore", text="drop.md\n")
    write(nest / "sub/deep", ".gitignore", text="!drop.md\n!build/\n")
    assert found(nest) == [
        "important.log",
        "keep.md",
        "sub/deep/build/in.md",
        "sub/deep/drop.md",
        "sub/keep.md",
        "sub/only/root.md",
    ]
    skipped = reasons(nest, discover([str(nest)]))
    assert skipped["drop.log"] == skipped["build"] == skipped["sub/drop.md"] == "is ignored by .gitignore"


def test_gitignore_files_above_count_within_a_repository_only(nest: Path) -> None:
    write(nest, "docs/a.md", "docs/draft.md", "out/b.md")
    write(nest, ".gitignore", text="draft.md\nout/\n")
    assert found(nest / "docs") == ["a.md", "draft.md"]
    (nest / ".git").mkdir()
    assert found(nest / "docs") == ["a.md"]
    assert found(nest / "out") == ["b.md"]  # it was named all the same
    assert found(nest, str(nest / "docs/draft.md")) == ["docs/draft.md"]


def test_a_hidden_file_is_never_found_in_a_folder(nest: Path) -> None:
    write(nest, "a.md", ".env", ".notes.md", ".hidden/b.md", ".git/config", "sub/.env.local", "sub/.git/HEAD")
    assert found(nest) == ["a.md"]
    assert reasons(nest, discover([str(nest)])) == {
        ".env": "is hidden",
        ".hidden": "is hidden",
        ".notes.md": "is hidden",
        "sub/.env.local": "is hidden",
    }


def test_a_hidden_file_or_folder_that_was_named_is_read(nest: Path) -> None:
    write(nest, ".notes.md", ".config/b.md")
    assert found(nest, str(nest / ".notes.md"), str(nest / ".config")) == [".notes.md", ".config/b.md"]


@pytest.mark.parametrize(
    "name",
    [
        ".env",
        ".env.production",
        "prod.env",
        ".netrc",
        "id_ed25519",
        "server.key",
        "cert.PEM",
        ".ssh/notes.md",
        "credentials",
    ],
)
def test_a_file_of_keys_is_refused_even_when_it_is_named(nest: Path, name: str) -> None:
    write(nest, name, text="API_KEY=secret")
    with pytest.raises(NothingToRead, match="by its name it holds keys or passwords"):
        discover([str(nest / name)])
    (nest / "innocent.md").symlink_to(nest / name)
    with pytest.raises(NothingToRead, match="by its name it holds keys or passwords"):
        discover([str(nest / "innocent.md")])


def test_a_private_key_under_any_name_is_refused(nest: Path) -> None:
    write(nest, "notes.txt", text="-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjE\n")
    with pytest.raises(NothingToRead, match=r"notes\.txt is a private key"):
        discover([str(nest)])


def test_an_example_of_a_file_of_keys_is_no_secret(nest: Path) -> None:
    write(nest, ".env.example")
    assert found(nest, str(nest / ".env.example")) == [".env.example"]


def test_links_are_not_followed_and_a_loop_of_them_ends(nest: Path) -> None:
    write(nest.parent, "outside/secret.md", "outside.md")
    write(nest, "a.md", "sub/b.md")
    (nest / "sub/up").symlink_to(nest)
    (nest / "loop").symlink_to(nest / "loop")
    (nest / "again.md").symlink_to(nest / "a.md")
    (nest / "away").symlink_to(nest.parent / "outside")
    (nest / "away.md").symlink_to(nest.parent / "outside.md")
    (nest / "gone.md").symlink_to(nest / "nothing")
    assert found(nest) == ["a.md", "sub/b.md"]
    skipped = reasons(nest, discover([str(nest)]))
    assert skipped["away"] == skipped["away.md"] == f"is a link that leads out of {nest}; name its target to read it"
    assert skipped["gone.md"] == skipped["loop"] == "is a link that leads nowhere"
    assert set(skipped) == {"away", "away.md", "gone.md", "loop"}


def test_a_folder_named_by_a_link_is_read(nest: Path) -> None:
    write(nest, "real/a.md")
    (nest / "link").symlink_to("real")
    (source,) = discover([str(nest / "link")]).sources
    assert (source.location, source.name) == (str(nest / "real/a.md"), str(nest / "link/a.md"))


def test_what_is_no_text_is_passed_over_and_said_so(nest: Path) -> None:
    write(nest, "a.md")
    (nest / "image.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    (nest / "old.doc").write_bytes(b"\xd0\xcf\x11\xe0\0\0")
    (nest / "page.pdf").write_bytes(b"%PDF-1.4\n\0\0")
    (nest / "utf16.txt").write_text("words", "utf-16")
    (nest / "empty.md").touch()
    os.mkfifo(nest / "pipe.md")
    assert found(nest) == ["a.md", "page.pdf", "utf16.txt"]
    assert reasons(nest, discover([str(nest)])) == {
        "empty.md": "is empty",
        "image.png": "is a binary file; it is neither text nor a format that can be converted",
        "old.doc": "is a binary file; save it as .docx",
        "pipe.md": "is not a regular file; use - to read standard input",
    }


def test_what_may_not_be_read_is_passed_over_and_said_so(nest: Path) -> None:
    write(nest, "a.md", "locked.md", "closed/b.md")
    (nest / "locked.md").chmod(0)
    (nest / "closed").chmod(0)
    program = (
        "import sys; from roost.actors.documents import discover; "
        "print([(s.location, s.reason) for s in discover([sys.argv[1]]).skipped])"
    )
    python: list[str] = [sys.executable, "-c", program, str(nest)]
    if os.geteuid() == 0:  # root reads everything, unless it gives that up
        if shutil.which("setpriv") is None:
            pytest.skip("root cannot be kept from reading without setpriv")
        python = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", *python]
    try:
        said = subprocess.run(python, capture_output=True, text=True, check=True).stdout
    finally:
        (nest / "closed").chmod(0o700)
    assert said.strip() == str(
        [
            (str(nest / "closed"), "cannot be read: permission denied"),
            (str(nest / "locked.md"), "cannot be read: permission denied"),
        ]
    )


def test_a_glob_finds_files_and_the_folders_it_names(nest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(nest, "a.md", "b.txt", "sub/c.md", "sub/deep/d.md", ".hidden/e.md", "sub/.f.md")
    monkeypatch.chdir(nest)
    assert found(nest, "*.md") == ["a.md"]
    assert found(nest, "**/*.md") == ["a.md", "sub/c.md", "sub/deep/d.md"]
    assert found(nest, "s*") == ["sub/c.md", "sub/deep/d.md"]
    assert found(nest, "**") == ["a.md", "b.txt", "sub/c.md", "sub/deep/d.md"]
    assert found(nest, ".hid*/*.md") == [".hidden/e.md"]
    assert found(nest, str(nest / "sub" / "?.md")) == ["sub/c.md"]


def test_a_file_whose_name_looks_like_a_glob_is_read(nest: Path) -> None:
    write(nest, "a[1].md", "a1.md")
    assert found(nest, str(nest / "a[1].md")) == ["a[1].md"]


@pytest.mark.parametrize(
    ("argument", "complaint"),
    [
        ("missing.md", r"missing\.md: no such file or folder; check the path"),
        ("*.missing", r"\*\.missing: nothing matches; check the pattern"),
        ("x" * 5_000, "cannot be read .*; check the path"),
        ("nul\0byte", "no such file or folder; check the path"),
    ],
)
def test_a_path_that_leads_nowhere_is_an_error(
    nest: Path, monkeypatch: pytest.MonkeyPatch, argument: str, complaint: str
) -> None:
    monkeypatch.chdir(nest)
    with pytest.raises(NoSuchDocument, match=complaint):
        discover([argument])


def test_nothing_at_all_to_read_is_an_error_that_says_why(nest: Path) -> None:
    with pytest.raises(
        NothingToRead, match="there is nothing to read; name files, folders, URLs, or - for standard input"
    ):
        discover([])
    with pytest.raises(NothingToRead, match="there is nothing to read"):
        discover([str(nest)])
    (nest / "a.md").touch()
    (nest / "b.md").touch()
    with pytest.raises(NothingToRead, match=r"there is nothing to read: .*a\.md is empty, and 1 more were passed over"):
        discover([str(nest)])


def test_too_many_documents_are_an_error_not_a_selection(nest: Path) -> None:
    write(nest, *(f"{i}.md" for i in range(4)))
    assert len(found(nest, limits=Limits(files=4))) == 4
    with pytest.raises(TooManyDocuments, match="over 3 documents; name fewer"):
        discover([str(nest)], limits=Limits(files=3))
    with pytest.raises(TooManyDocuments, match="has over 3 entries; name the files or folders you mean"):
        discover([str(nest)], limits=Limits(entries=3))


def test_the_list_of_what_was_passed_over_is_bounded(nest: Path) -> None:
    write(nest, "a.md", *(f".{i}" for i in range(5)))
    discovery = discover([str(nest)], limits=Limits(skips=2))
    assert (len(discovery.skipped), discovery.skipped_more) == (2, 3)


@pytest.mark.parametrize(
    "url",
    [
        *["http://127.0.0.1/", "http://localhost:8080/x", "http://LOCALHOST./", "http://a.localhost/", "http://[::1]/"],
        *["http://[::ffff:127.0.0.1]/", "http://[::ffff:10.0.0.1]/", "http://10.1.2.3/", "http://192.168.0.1/"],
        *["http://169.254.169.254/latest/meta-data", "http://[fd00:ec2::254]/", "http://0.0.0.0/", "http://[::]/"],
        *["http://224.0.0.1/", "http://100.64.0.1/", "http://[fe80::1]/", "http://[64:ff9b::7f00:1]/"],
        *["http://[2002:7f00:1::]/", "http://[fec0::1]/", "http://[::7f00:1]/", "http://255.255.255.255/"],
    ],
)
def test_a_url_that_names_a_private_address_is_refused(url: str) -> None:
    with pytest.raises(AddressRefused, match="not a public address"):
        discover([url])


def test_private_addresses_may_be_allowed_but_those_that_hand_out_credentials_never() -> None:
    allowed = ["http://127.0.0.1:8080/", "http://localhost/", "http://[::1]/", "http://10.1.2.3/", "http://100.64.0.1/"]
    assert len(discover(allowed, allow_private=True).sources) == len(allowed)
    for url in [
        "http://169.254.169.254/",
        "http://[fd00:ec2::254]/",
        "http://[::ffff:169.254.169.254]/",
        "http://0.0.0.0/",
    ]:
        with pytest.raises(AddressRefused, match="link-local ones never"):
            discover([url], allow_private=True)


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("ftp://example.com/a", "only http and https URLs are read"),
        ("file:///etc/passwd", "only http and https URLs are read"),
        ("http:///a", "names no host"),
        ("http://exa mple.com\n/", "is no URL"),
        ("http://example.com:99999/", "is no port"),
        ("http://example.com/" + "a" * 5_000, "is too long"),
        ("http://name:word@example.com/", "a user name or password is not read"),
    ],
)
def test_a_url_that_cannot_be_read_is_an_error(url: str, complaint: str) -> None:
    with pytest.raises(FetchFailed, match=complaint) as caught:
        discover([url])
    assert "word@" not in str(caught.value)
