"""Hooks of mkdocs: pages of the site that are made from other files of the project.

A comment `<!-- include: ... -->` alone on a line of a page is replaced:

- `<!-- include: model/default_checkpoint/README.md -->` by that file without its front matter
  and title,
- `<!-- include: commands -->` by the reference of the command line, from its parser,
- `<!-- include: decisions -->` by the list of decision records.

README.md, CHANGELOG.md and CONTRIBUTING.md, which lie outside `docs/`, become pages as well. A link
to a file outside `docs/` leads to its page, or becomes its path in code. A page that would load
anything from another host fails the build.
"""

import inspect
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from typer.core import TyperArgument, TyperCommand, TyperGroup
from typer.main import get_command

from app.cli.program import cli

ROOT = Path(__file__).resolve().parents[2]
# Files outside docs/ that become pages, and the page with the model card.
ADDED: Mapping[str, str] = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "README.md": "readme.md",
}
SHOWN: Mapping[str, str] = {
    **ADDED,
    "client/README.md": "reference/client.md",
    "docs/decisions": "explanation/decisions.md",
    "model/default_checkpoint/README.md": "reference/model-card.md",
}
INCLUDE = re.compile(r"^<!-- include: (\S+) -->$", re.MULTILINE)
LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")
LOADED_FROM_ELSEWHERE = re.compile(
    r"""<(?:script|img|iframe|video|source|link)\b[^>]*?\b(?:src|href)=["']?(?:https?:)?//[^"'>]*"""
)
FENCE = re.compile(r"(^ {0,3}```.*?^ {0,3}```$)", re.MULTILINE | re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the files that lie outside `docs/`."""
    for name, shown in ADDED.items():
        files.append(File.generated(config, shown, content=read(name)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Replace the includes of a page, and links to files outside docs/."""
    source = page.file.src_uri
    folder = "" if source in ADDED.values() else posixpath.join("docs", posixpath.dirname(source))
    text = redirect(markdown, folder, source)
    return INCLUDE.sub(lambda match: included(match[1], source), text)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Raise PluginError if the page loads anything from another host."""
    if found := LOADED_FROM_ELSEWHERE.search(output):
        raise PluginError(f"{page.file.src_uri}: loads {found[0]}")
    return output


def included(name: str, source: str) -> str:
    """Return what stands for the include `name` on the page `source`."""
    if maker := MAKERS.get(name):
        return maker()
    if not (ROOT / name).is_file():
        raise PluginError(f"{source}: nothing to include is called {name}")
    text = re.sub(r"\A---\n.*?\n---\n", "", read(name), flags=re.DOTALL)
    text = re.sub(r"\A\s*# .*\n", "", text)
    return redirect(text, posixpath.dirname(name), source)


def redirect(markdown: str, folder: str, source: str) -> str:
    """Point links between files of the project to pages of the site.

    `folder` is where the text lies in the project, `source` the page that shows it, from docs/.
    """

    def replaced(link: re.Match[str]) -> str:
        target, anchor = link["target"], link["anchor"] or ""
        if "://" in target or target.startswith("mailto:"):
            return link[0]
        path = posixpath.normpath(posixpath.join(folder, target))
        if not (ROOT / path).exists():
            raise PluginError(f"{source}: {target} does not exist")
        shown = SHOWN.get(path)
        if shown is None and path.startswith("docs/"):
            shown = path.removeprefix("docs/")
        if shown is None:
            text = link["text"]
            return text if text.startswith("`") else f"{text} (`{path}`)"
        address = posixpath.relpath(shown, posixpath.dirname(source) or ".")
        return f"{link['image']}[{link['text']}]({address}{anchor})"

    parts = FENCE.split(markdown)
    parts[::2] = [LINK.sub(replaced, part) for part in parts[::2]]
    return "".join(parts)


def decisions() -> str:
    """Return the decision records as a list of links."""
    records = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    titles = [
        path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ") for path in records
    ]
    entries = zip(records, titles, strict=True)
    return "\n".join(f"- [{title}](../decisions/{path.name})" for path, title in entries)


def commands() -> str:
    """Return the reference of every command of `kinolex`."""
    program = get_command(cli)
    if not isinstance(program, TyperGroup):
        raise PluginError("the program `kinolex` has no commands")
    return "\n".join(described(program, "kinolex", 2))


def described(command: TyperCommand | TyperGroup, name: str, level: int) -> Iterator[str]:
    """Yield the lines about a command and those below it; its heading has the given level."""
    context = command.make_context(name, [], resilient_parsing=True)
    yield f"{'#' * level} {name}\n\n{inspect.cleandoc(command.help or '')}\n"
    yield f"```text\n{' '.join([name, *command.collect_usage_pieces(context)])}\n```\n"
    records = [
        ("argument" if isinstance(parameter, TyperArgument) else "option", *record)
        for parameter in command.get_params(context)
        if (record := parameter.get_help_record(context)) is not None
    ]
    for kind in ("argument", "option"):
        rows = [f"| `{words}` | {cell(text)} |" for found, words, text in records if found == kind]
        if rows:
            yield f"| {kind} | meaning |\n|---|---|\n" + "\n".join(rows) + "\n"
    if isinstance(command, TyperGroup):
        for word in command.list_commands(context):
            inner = command.commands[word]
            if isinstance(inner, TyperCommand | TyperGroup):
                yield from described(inner, f"{name} {word}", level + 1)


def cell(text: str) -> str:
    """Return a text of one line for a table."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def read(name: str) -> str:
    """Return the text of a file of the project."""
    return (ROOT / name).read_text(encoding="utf-8")


MAKERS: Mapping[str, Callable[[], str]] = {"commands": commands, "decisions": decisions}
