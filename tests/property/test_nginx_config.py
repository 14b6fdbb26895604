"""nginx's grammar: what is written is read back, and whatever is printed is read or refused."""

from hypothesis import given
from hypothesis import strategies as st

from danelaw.deploy.services import nginx
from danelaw.deploy.services.nginx_config import Directive, parse
from danelaw.errors import Unsuited
from fakes.programs import Programs

WORDS = st.text(st.sampled_from("ab1;{}#\"'\\ $*.\n\t~"), min_size=1, max_size=8)
NAMES = st.text("abcdefgh", min_size=1, max_size=5)
LINES = st.tuples(NAMES, st.lists(WORDS, max_size=3)).map(lambda parts: (parts[0], *parts[1]))
TREES = st.recursive(
    st.lists(st.tuples(LINES, st.none()), max_size=3),
    lambda inner: st.lists(st.tuples(LINES, st.none() | inner), max_size=3),
    max_leaves=12,
)
PIECES = st.lists(
    st.sampled_from(
        [
            *(
                "http ",
                "server ",
                "listen ",
                "443 ssl",
                "[::1]:443",
                "server_name ",
                "example.org",
                "*.org",
                "ssl_certificate",
            ),
            *(
                "_key",
                " /t/a.pem",
                "include ",
                "/t/b.conf",
                "*",
                "{",
                "}",
                ";",
                '"',
                "'",
                "\\",
                "#",
                "\n",
                " ",
                "$x",
                "$",
            ),
            *(
                "# configuration file /t/a.conf:\n",
                "# configuration file /t/b.conf:\n",
                "a_by_lua_block {",
                "[[",
                "--",
                "é",
                "\x00",
            ),
        ]
    ),
    max_size=40,
).map("".join)


def quoted(word: str) -> str:
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def written(tree: object) -> str:
    assert isinstance(tree, list)
    lines = ((words[0], *map(quoted, words[1:]), block) for words, block in tree)
    return "\n".join(
        f"{' '.join(words)};" if block is None else f"{' '.join(words)} {{ # }}\n{written(block)} }}"
        for *words, block in lines
    )


def shape(lines: list[Directive]) -> list[object]:
    return [(each.words, shape(each.block)) for each in lines]


def wanted(tree: object) -> list[object]:
    assert isinstance(tree, list)
    return [(words, [] if block is None else wanted(block)) for words, block in tree]


@given(TREES)
def test_what_is_written_is_read_back(tree: object) -> None:
    assert shape(parse(written(tree), "/t/x.conf", "/t")) == wanted(tree)


@given(PIECES)
def test_whatever_is_printed_is_read_or_refused(text: str) -> None:
    said = f"# configuration file /t/nginx.conf:\n{text}"
    try:
        setup = nginx.survey(Programs({"nginx -T": said}), ["example.org"], "rsa")
    except Unsuited:
        return
    assert setup.files
    assert setup.ports
