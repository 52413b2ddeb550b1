"""Plugins: the hooks, where plugins are found, and the lookup of what they register.

Nine hooks, each handed `register(name, plugin)`; `registration` has the decorators that a file's hooks are made of.
Built-in plugins enter by the door everyone uses: a file in `plugins/<kind>/`. Others are a folder of the same shape
named in `plugin_paths`, or an installed package with an entry point in the group `twolayer`. A plugin that fails to
load is kept with its reason and is an error only for those who ask for something that it might have been.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import importlib.util
import inspect
import keyword
import sys
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from twolayer.analysis.claims import Claim
from twolayer.analysis.figures import Drawing
from twolayer.analysis.metric import Metric
from twolayer.core.activation import Activation
from twolayer.core.backend import Backend
from twolayer.core.dynamics import Dynamics
from twolayer.core.initialization import InitializationSpec
from twolayer.core.loss import Loss
from twolayer.core.problem_spec import ProblemSpec
from twolayer.core.registration import hooks_of_marks, marked_kinds
from twolayer.core.trajectory import MARKS
from twolayer.errors import ConfigError, PluginError, unknown_name
from twolayer.study.schema import build

__all__ = ["KINDS", "Registered", "Registry", "inherited", "load", "load_named", "plugin_folder"]

hookspec = pluggy.HookspecMarker("twolayer")

HOOK = "register_"
"""What the name of every hook begins with."""

KINDS = (
    "backends",
    "activations",
    "losses",
    "problems",
    "initializations",
    "dynamics",
    "metrics",
    "figures",
    "claims",
)


class Hooks:
    """What a plugin can register; `register(name, plugin)` may be called any number of times."""

    @hookspec
    def register_backends(self, register: Any) -> None:
        """Where training runs: an instance of `twolayer.core.backend.Backend`."""

    @hookspec
    def register_activations(self, register: Any) -> None:
        """What a neuron computes: a dataclass derived from `Activation`, or from `TwoSlope`."""

    @hookspec
    def register_losses(self, register: Any) -> None:
        """What is minimised on finite data: an instance of `Loss`; its name is that of data and of a config."""

    @hookspec
    def register_problems(self, register: Any) -> None:
        """What is learnt: a dataclass derived from `ProblemSpec`."""

    @hookspec
    def register_initializations(self, register: Any) -> None:
        """Where weights start: a dataclass derived from `InitializationSpec`."""

    @hookspec
    def register_dynamics(self, register: Any) -> None:
        """How weights move: a dataclass derived from `Dynamics`, or from `Descent`, `Flow` or `InstantUpdate`."""

    @hookspec
    def register_metrics(self, register: Any) -> None:
        """What is measured: an instance of `Metric`; its name is the variable's."""

    @hookspec
    def register_figures(self, register: Any) -> None:
        """What is drawn: a function marked `@figure`, registered as "<paper>.<figure>"."""

    @hookspec
    def register_claims(self, register: Any) -> None:
        """What is compared with a measurement: a function marked `@claim`, registered as "<paper>.<claim>"."""


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
        if not isinstance(section, Mapping) or "name" not in section:
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
            for pattern in (f"{kind}/*.py", *(f"papers/{paper}/{kind}.py" for paper in sorted(papers)))
            for file in sorted(folder.glob(pattern))
            if not file.name.startswith("_")  # what several plugins of a folder share
        ]
        for parent, name in {file.parent: module_name(file, folder) for file, _ in found}.items():
            forget_changed(parent, name.rpartition(".")[0])
        for file, kind in found:
            add_file(registry, file, folder, kind)
    for entry in entry_points(group="twolayer"):
        source = f"entry point {entry.name} = {entry.value}"
        try:
            module = entry.load()
        except Exception as error:
            registry.failures[source] = reason_of(error)
        else:
            add(registry, module, source, wanted)
    return registry


def add_file(registry: Registry, file: Path, folder: Path, kind: str) -> None:
    """Load one plugin file and register what it offers: plugins of the kind that its folder is named for."""
    try:
        module = load_file(file, module_name(file, folder))
    except Exception as error:
        registry.failures[str(file)] = reason_of(error)
    else:
        others = sorted(hooks_of(module) & {f"{HOOK}{other}" for other in KINDS if other != kind})
        if others:
            registry.failures[str(file)] = (
                f"a file in {file.parent.name}/ registers {kind}, not {', '.join(others)}; "
                "give each kind a file in the folder of that name"
            )
        else:
            add(registry, module, str(file), (kind,))


def module_name(file: Path, folder: Path) -> str:
    """The name under which a plugin file of a folder is imported."""
    return ".".join(["twolayer_plugins", root_name(folder), *file.relative_to(folder).with_suffix("").parts])


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


class PluginManager(pluggy.PluginManager):
    """pluggy's, which looks at the names of hooks alone: to look at all that a module imports takes longer than to
    load it."""

    def parse_hookimpl_opts(self, plugin: Any, name: str) -> Any:
        return super().parse_hookimpl_opts(plugin, name) if name.startswith(HOOK) else None

    def parse_hookspec_opts(self, module_or_class: Any, name: str) -> Any:
        return super().parse_hookspec_opts(module_or_class, name) if name.startswith(HOOK) else None


@functools.cache
def plugin_manager() -> PluginManager:
    """pluggy's manager with our hooks; of plugins it has one at a time, that which is being added."""
    manager = PluginManager("twolayer")
    manager.add_hookspecs(Hooks)
    return manager


def add(registry: Registry, module: Any, source: str, kinds: Sequence[str]) -> None:
    """Check a plugin's hooks with pluggy, then let it register."""
    manager = plugin_manager()
    found: list[Registered] = []
    try:
        hooks = hooks_of(module)
        if not hooks:
            raise PluginError(
                'it registers nothing; mark what it has, as in @dynamics("name"), or a register_<kind> function '
                "with @hookimpl"
            )
        for hook in sorted(hooks):
            if hook.removeprefix(HOOK) not in KINDS:
                raise PluginError(unknown_name("hook", hook, (f"{HOOK}{kind}" for kind in KINDS)))
        manager.register(module)
        manager.register(hooks_of_marks(module))
        for kind in kinds:
            if f"{HOOK}{kind}" in hooks:
                getattr(manager.hook, f"{HOOK}{kind}")(register=collector(kind, module, source, found))
    except Exception as error:
        registry.failures[source] = reason_of(error)
        return
    finally:
        for plugin in manager.get_plugins():
            manager.unregister(plugin)
    if clashes := [clash for entry in found if entry.kind == "metrics" for clash in registry.clashes(entry)]:
        registry.failures[source] = f"register_metrics: {clashes[0]}; rename one of them"
        return
    for entry in found:
        key = (entry.kind, entry.name)
        if key in registry.entries and registry.entries[key].source != source:
            registry.duplicates.setdefault(key, [registry.entries[key].source]).append(source)
        else:
            registry.entries[key] = entry


def hooks_of(module: Any) -> set[str]:
    """The names of a plugin's hooks: functions marked with @hookimpl, and one for each kind of what is marked."""
    written = {name for name in dir(module) if hasattr(getattr(module, name, None), "twolayer_impl")}
    return written | {f"{HOOK}{kind}" for kind in marked_kinds(module)}


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


OF_PAPERS = ("figures", "claims")
"""The kinds whose names are <paper>.<name>."""

BASES: dict[str, type] = {
    "backends": Backend,
    "activations": Activation,
    "losses": Loss,
    "problems": ProblemSpec,
    "initializations": InitializationSpec,
    "dynamics": Dynamics,
    "metrics": Metric,
    "figures": Drawing,
    "claims": Claim,
}
"""What a plugin of each kind is: an instance of the class, or for what a config section is built into, a subclass."""

DIMENSIONS = frozenset(("seed", "time", "neuron", "feature", "sample", "teacher"))
"""The dimensions that datasets share."""

RESERVED = DIMENSIONS | {"step", "run", *MARKS}
"""Dimensions and variables of every dataset, which neither a metric nor a swept word may have for a name."""

SECTIONS = ("activations", "problems", "initializations", "dynamics")


def check(kind: str, name: str, plugin: Any) -> None:
    """Refuse a plugin that cannot be what it is registered as."""
    base = BASES[kind]
    if kind in SECTIONS:
        if not (isinstance(plugin, type) and issubclass(plugin, base)):
            raise PluginError(
                f"register_{kind}: '{name}' ({getattr(plugin, '__name__', repr(plugin))}) must be a subclass of "
                f"twolayer.{base.__name__}"
            )
        if not dataclasses.is_dataclass(plugin):
            raise PluginError(
                f"register_{kind}: '{name}' must be a dataclass (its fields are its config section)"
            )
        fields = {field.name for field in dataclasses.fields(plugin)}
        annotated = {key: str(hint) for key, hint in vars(plugin).get("__annotations__", {}).items()}
        if forgotten := [
            key for key, hint in annotated.items() if key not in fields and "ClassVar" not in hint
        ]:
            raise PluginError(
                f"register_{kind}: '{name}' has the field '{forgotten[0]}', but {plugin.__name__} is no dataclass; "
                "write @dataclass(frozen=True) above the class"
            )
        if missing := sorted(getattr(plugin, "__abstractmethods__", ())):
            raise PluginError(
                f"register_{kind}: '{name}' ({plugin.__name__}) must define {', '.join(missing)}"
            )
    elif not isinstance(plugin, base):
        raise PluginError(f"register_{kind}: '{name}' ({plugin!r}) must be a {base.__name__}")
    if kind == "metrics":
        check_variable(name, plugin)
    parts = name.split(".") if kind == "figures" else ()
    if not all(part.isidentifier() for part in parts):
        raise PluginError(
            f"register_figures: {name!r} becomes files: paper and figure must be of letters, digits and '_'"
        )
    if kind in ("figures", "claims") and name.count(".") != 1:
        raise PluginError(f"register_{kind}: '{name}' must be named '<paper>.<{kind.removesuffix('s')}>'")


def check_variable(name: str, metric: Metric) -> None:
    """Refuse a metric whose name, or a dimension of which, cannot be one of a dataset."""
    for word, what in ((name, "name"), *((dimension, "dimension") for dimension in metric.dimensions)):
        if not isinstance(word, str) or not word.isidentifier() or keyword.iskeyword(word):
            raise PluginError(
                f"register_metrics: '{name}': its {what} must be a Python identifier, as a variable of the dataset; "
                f"is {word!r}"
            )
    if name in RESERVED or name in metric.dimensions:
        raise PluginError(
            f"register_metrics: '{name}' is the name of a dimension or a variable of every dataset; choose another"
            if name in RESERVED
            else f"register_metrics: '{name}' is also the name of one of its dimensions; rename one of them"
        )
    if taken := sorted(set(metric.dimensions) & (RESERVED - DIMENSIONS)):
        raise PluginError(
            f"register_metrics: '{name}': '{taken[0]}' is a variable of every dataset, not a dimension"
        )
    if len(set(metric.dimensions)) < len(metric.dimensions):
        raise PluginError(f"register_metrics: '{name}' has a dimension twice: {', '.join(metric.dimensions)}")


def blame(error: BaseException) -> str:
    """The plugin that an exception rose in, or that called what raised it; empty where there is none."""
    found, step, last = None, error.__traceback__, error.__traceback__
    while step is not None:
        if step.tb_frame.f_globals.get("__name__", "").startswith("twolayer_plugins."):
            found = step
        step, last = step.tb_next, step
    if found is None or last is None:
        return ""
    code = found.tb_frame.f_code
    text = " ".join(str(error).split())
    return (
        f"the plugin {code.co_filename} failed in line {found.tb_lineno}, in {code.co_name}: "
        f"{type(error).__name__}: {text}"
        + (
            f" (raised in {last.tb_frame.f_code.co_filename}, line {last.tb_lineno})"
            if last is not found
            else ""
        )
    )


def reason_of(error: BaseException) -> str:
    """An exception in one line, with the line of the plugin where it rose."""
    where = ""
    if isinstance(error, SyntaxError):
        where = f" (line {error.lineno})"
    elif error.__traceback__ is not None:
        last = error.__traceback__
        while last.tb_next is not None:
            last = last.tb_next
        if "twolayer_plugins" in last.tb_frame.f_globals.get("__name__", ""):
            where = f" (line {last.tb_lineno})"
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}{where}" if not isinstance(error, PluginError) else text
