"""Plugins: where they are found, and the lookup of what they register.

Built-in plugins enter by the door everyone uses: a file in `plugins/<kind>/`. Others are a folder of the same shape
named in `plugin_paths`, or an installed package with an entry point in the group `twolayer`. A plugin that fails to
load is kept with its reason and is an error only for those who ask for something that it might have been.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import inspect
import os
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from twolayer.core.registration import hooks_of_marks
from twolayer.errors import ConfigError, PluginError, unknown_name
from twolayer.study.hooks import HOOK, KINDS, hooks_of, plugin_manager, written_hooks
from twolayer.study.plugin_checks import OF_PAPERS, check
from twolayer.study.plugin_errors import reason_of
from twolayer.study.schema import build

__all__ = ["Registered", "Registry", "inherited", "load", "load_named", "plugin_folder"]


@dataclass(frozen=True)
class Registered:
    """One registered name: the plugin, and the file (or entry point) it came from."""

    kind: str
    name: str
    plugin: Any
    source: str
    file: Path | None


@dataclass
class Registry:
    """What all loaded plugins registered, and which plugins failed (source -> reason)."""

    entries: dict[tuple[str, str], Registered] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    duplicates: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def names(self, kind: str) -> list[str]:
        """The known names of a kind, sorted."""
        return sorted(name for entry_kind, name in self.entries if entry_kind == kind)

    def clashes(self, metric: Registered) -> list[str]:
        """How a new metric's name is a dimension of known ones, or a dimension of it their name."""
        known = {name: entry.plugin for (kind, name), entry in self.entries.items() if kind == "metrics"}
        return [
            f"'{metric.name}' is a dimension of the metric '{name}'"
            for name, other in known.items()
            if metric.name in other.dimensions
        ] + [
            f"the dimension '{dimension}' of '{metric.name}' is a metric"
            for dimension in metric.plugin.dimensions
            if dimension in known
        ]

    def find(self, kind: str, name: object, where: str = "") -> Registered:
        """The plugin of that name, or a ConfigError that lists the known, the nearest and the broken ones."""
        place = f"{where}: " if where else ""
        key = (kind, str(name))
        if key in self.duplicates:
            raise ConfigError(
                f"{place}'{name}' is registered twice in {kind}: by {' and by '.join(self.duplicates[key])}. "
                "Rename one of them."
            )
        if key in self.entries:
            return self.entries[key]
        singular = {"dynamics": "dynamics", "losses": "loss"}.get(kind, kind.removesuffix("s"))
        message = place + unknown_name(singular, name, self.names(kind))
        for source, reason in self.failures_that_name(str(name)).items():
            message += f"\n  A plugin that failed to load may have had it: {source}: {reason}"
        raise ConfigError(message)

    def failures_that_name(self, name: str) -> dict[str, str]:
        """The files that could not be loaded in which a name stands in quotes; all of them where it stands in none."""
        found = {}
        for source, reason in self.failures.items():
            with contextlib.suppress(OSError, UnicodeDecodeError):
                text = Path(source).read_text(encoding="utf-8")
                if f'"{name}"' in text or f"'{name}'" in text:
                    found[source] = reason
        return found or self.failures

    def section(self, kind: str, section: object, where: str) -> tuple[Registered, Mapping[str, Any]]:
        """The plugin that a config section `{name: …, …}` asks for, and the other keys."""
        if not isinstance(section, Mapping):
            named = (
                f"; write {where.rpartition('.')[2]}: {{name: {section}, …}}"
                if isinstance(section, str)
                else ""
            )
            raise ConfigError(f"{where}: must be a section with keys, is {section!r}{named}")
        if "name" not in section:
            raise ConfigError(f"{where}.name: missing; known: {', '.join(self.names(kind))}")
        found = self.find(kind, section["name"], f"{where}.name")
        return found, {key: value for key, value in section.items() if key != "name"}

    def build(self, kind: str, section: object, where: str) -> tuple[Registered, Any]:
        """The plugin that a config section asks for, and the section as its instance, sections within it too."""
        found, rest = self.section(kind, section, where)
        return found, build(found.plugin, rest, where, self.section)

    def warnings(self) -> list[str]:
        """What is broken but was not asked for."""
        lines = [f"plugin {source} is left out: {reason}" for source, reason in self.failures.items()]
        lines += [
            f"{kind} '{name}' is registered twice, by {' and by '.join(sources)}: not usable until one is renamed"
            for (kind, name), sources in self.duplicates.items()
        ]
        return lines


def inherited(kind: str, lineage: Sequence[str], registry: Registry) -> dict[str, str]:
    """A paper's figures or claims by name, with the full name under which each is registered: those of the
    paper, and those of the papers that it is a variant of."""
    found: dict[str, str] = {}
    for paper in reversed(lineage):
        for full in registry.names(kind):
            owner, _, name = full.partition(".")
            if owner == paper:
                found[name] = full
    return found


def plugin_folder() -> Path:
    """The built-in plugins: in the project for an editable install, inside the package for a wheel."""
    package = Path(__file__).parents[1]
    shipped = package / "plugins"
    return shipped if shipped.is_dir() else package.parents[1] / "plugins"


def load_named(plugin_paths: Sequence[Path | str], kinds: Iterable[str], names: Iterable[str]) -> Registry:
    """The figures or claims of these full names, from the folders of their papers; where one is not there, all."""
    names, kinds = list(names), tuple(kinds)
    registry = load(plugin_paths, kinds, {name.partition(".")[0] for name in names})
    known = {name for kind in kinds for name in registry.names(kind)}
    return registry if known.issuperset(names) else load(plugin_paths, kinds)


def load(
    plugin_paths: Sequence[Path | str] = (), kinds: Iterable[str] = KINDS, papers: Iterable[str] = ("*",)
) -> Registry:
    """Find and load the plugins of the given kinds, as their files are now; of papers those of these folders."""
    registry = Registry()
    wanted = tuple(kinds)
    for folder in (plugin_folder(), *map(Path, plugin_paths)):
        if not folder.is_dir():
            raise ConfigError(f"plugin_paths: there is no folder '{folder}'")
        found = [
            (file, kind)
            for kind in wanted
            for pattern in patterns(kind, papers)
            for file in sorted(folder.glob(pattern))
            if not file.name.startswith("_")  # what several plugins of a folder share
        ]
        for home in {home_of(file, folder): None for file, _ in found}:
            forget_changed(home, package_name(home, folder))
        for file, kind in found:
            add_file(registry, file, folder, kind)
    for entry in installed(search_path()):
        source = f"entry point {entry.name} = {entry.value}"
        try:
            module = entry.load()
        except Exception as error:
            registry.failures[source] = reason_of(error)
        else:
            add(registry, module, source, wanted)
    return registry


def patterns(kind: str, papers: Iterable[str]) -> Iterator[str]:
    """Where the plugins of a kind stand below a folder of plugins: a paper's figures in one file, or in a folder of
    files."""
    yield f"{kind}/*.py"
    for paper in sorted(papers):
        yield f"papers/{paper}/{kind}.py"
        yield f"papers/{paper}/{kind}/*.py"


def home_of(file: Path, folder: Path) -> Path:
    """The folder whose files a plugin may import: that of its paper, or of its kind."""
    first, second, *_ = file.relative_to(folder).parts
    return folder / first / second if first == "papers" else folder / first


def search_path() -> tuple[tuple[str, int], ...]:
    """Where Python looks for packages, and when each folder last changed: an installation changes one."""
    return tuple((folder, changed(folder)) for folder in sys.path)


def changed(folder: str) -> int:
    """When a folder last changed; 0 of what is none."""
    try:
        return os.stat(folder or ".").st_mtime_ns
    except OSError:
        return 0


@functools.cache
def installed(path: tuple[tuple[str, int], ...]) -> tuple[EntryPoint, ...]:
    """The plugins of the packages there: to look through all of them takes as long as to load the built-in plugins."""
    return tuple(entry_points(group="twolayer"))


def add_file(registry: Registry, file: Path, folder: Path, kind: str) -> None:
    """Load one plugin file and register what it offers: plugins of the kind that its folder is named for."""
    try:
        module = load_file(file, module_name(file, folder))
    except Exception as error:
        registry.failures[str(file)] = reason_of(error)
    else:
        others = sorted(known_of(module).hooks & {f"{HOOK}{other}" for other in KINDS if other != kind})
        if others:
            registry.failures[str(file)] = (
                f"a file in {file.parent.name}/ registers {kind}, not {', '.join(others)}; "
                "give each kind a file in the folder of that name"
            )
        else:
            add(registry, module, str(file), (kind,))


@functools.cache
def module_name(file: Path, folder: Path) -> str:
    """The name under which a plugin file of a folder is imported."""
    return f"{package_name(file.parent, folder)}.{file.stem}"


@functools.cache
def package_name(place: Path, folder: Path) -> str:
    """The name of the package that a folder below a folder of plugins is."""
    return ".".join(["twolayer_plugins", root_name(folder), *place.relative_to(folder).parts])


@functools.cache
def root_name(folder: Path) -> str:
    """The name of a folder of plugins among those of all."""
    return f"p{zlib.crc32(str(folder.resolve()).encode()):08x}"


CONTENT = "__twolayer_content__"
"""The attribute of a package of plugins with the hash of the files that its modules were imported from."""


def forget_changed(folder: Path, name: str) -> None:
    """Forget the modules of the package `name` where a file of its folder has changed since they were imported: they
    are then imported anew. Objects made of them stay as they are: they keep their modules."""
    sources = sorted(folder.rglob("*.py"))
    content = hashlib.sha256()
    for file in sources:
        content.update(f"{file}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    package = package_of(name, [str(folder)])
    before = vars(package).get(CONTENT)
    setattr(package, CONTENT, content.digest())
    if before in (None, content.digest()):
        return
    for module in [module for module in sys.modules if module.startswith(f"{name}.")]:
        del sys.modules[module]
    for file in sources:  # bytecode knows a source by its size and the second in which it was written
        with contextlib.suppress(OSError):
            Path(importlib.util.cache_from_source(str(file))).unlink(missing_ok=True)
    importlib.invalidate_caches()


def package_of(name: str, path: list[str]) -> ModuleType:
    """The package of that name, with the packages above it, which `from . import x` also looks up; made where it does
    not exist yet."""
    above = name.rpartition(".")[0]
    if above:
        package_of(above, [])
    package = sys.modules.setdefault(name, ModuleType(name))
    if path or not hasattr(package, "__path__"):
        package.__path__ = path
    return package


def load_file(file: Path, name: str) -> ModuleType:
    """Import a file under a name that no other file has; `from . import x` finds its neighbours."""
    if name in sys.modules:
        return sys.modules[name]
    package_of(name.rpartition(".")[0], [str(file.parent)])
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def add(registry: Registry, module: Any, source: str, kinds: Sequence[str]) -> None:
    """Let a plugin register; what is wrong with it becomes a failure of its source."""
    try:
        found = registered_by(module, source, tuple(kinds))
    except Exception as error:
        registry.failures[source] = reason_of(error)
        return
    if clashes := [clash for entry in found if entry.kind == "metrics" for clash in registry.clashes(entry)]:
        registry.failures[source] = f"register_metrics: {clashes[0]}; rename one of them"
        return
    for entry in found:
        key = (entry.kind, entry.name)
        if key in registry.entries and registry.entries[key].source != source:
            registry.duplicates.setdefault(key, [registry.entries[key].source]).append(source)
        else:
            registry.entries[key] = entry


KNOWN = "__twolayer_known__"
"""The attribute of a plugin with what was found in it, which a copy of the server then need not look for."""


@dataclass
class Known:
    """A plugin's hooks, whether any is a function, which may register something else each time, and what the marked
    ones have registered, by source and kinds."""

    hooks: set[str]
    written: bool
    registered: dict[tuple[str, tuple[str, ...]], list[Registered]] = field(default_factory=dict)


def known_of(module: Any) -> Known:
    """What is known of a plugin."""
    found = getattr(module, "__dict__", {}).get(KNOWN)
    if not isinstance(found, Known):
        found = Known(hooks_of(module), bool(written_hooks(module)))
        with contextlib.suppress(AttributeError, TypeError):  # of an entry point that takes no attribute
            setattr(module, KNOWN, found)
    return found


def registered_by(module: Any, source: str, kinds: tuple[str, ...]) -> list[Registered]:
    """What a plugin registers of the kinds, its hooks checked with pluggy; a PluginError where they are wrong."""
    known = known_of(module)
    if (source, kinds) in known.registered:
        return known.registered[source, kinds]
    hooks = known.hooks
    if not hooks:
        raise PluginError(
            'it registers nothing; mark what it has, as in @dynamics("name"), or a register_<kind> function '
            "with @hookimpl"
        )
    for hook in sorted(hooks):
        if hook.removeprefix(HOOK) not in KINDS:
            raise PluginError(unknown_name("hook", hook, (f"{HOOK}{kind}" for kind in KINDS)))
    found: list[Registered] = []
    manager = plugin_manager()
    try:
        manager.register(module)
        manager.register(hooks_of_marks(module))
        for kind in kinds:
            if f"{HOOK}{kind}" in hooks:
                getattr(manager.hook, f"{HOOK}{kind}")(register=collector(kind, module, source, found))
    finally:
        for plugin in manager.get_plugins():
            manager.unregister(plugin)
    if not known.written:
        known.registered[source, kinds] = found
    return found


def collector(kind: str, module: Any, source: str, found: list[Registered]) -> Any:
    """The `register` that a hook is handed."""

    def register(name: str, plugin: Any) -> None:
        if not isinstance(name, str) or not name:
            raise PluginError(f"register_{kind}: a name is a non-empty text, not {name!r}")
        if any(entry.name == name for entry in found if entry.kind == kind):
            raise PluginError(f"register_{kind}: '{name}' is registered twice in this plugin")
        check(kind, name, plugin)
        if not all(part.isidentifier() for part in name.split(".", kind in OF_PAPERS)):
            raise PluginError(
                f"register_{kind}: a name is of letters, digits and '_' and begins with no digit, not {name!r}"
            )
        file = getattr(module, "__file__", None) or inspect.getsourcefile(type(module))
        found.append(Registered(kind, name, plugin, source, Path(file) if file else None))

    return register
