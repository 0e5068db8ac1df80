# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The NixOS modules, evaluated over every plan, root and loader, and what settings make of them."""

from __future__ import annotations

import importlib.util
import itertools
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent))

from evaluation import CHECKOUT, KEY, LEAST, OTHER_KEY, Case, evaluate, one, run

if TYPE_CHECKING:
    from tests.unit.conftest import RealNix

PLANS = [json.loads(path.read_text()) for path in sorted((CHECKOUT / "nix/plans").glob("*.json"))]
SYSTEMS = ("x86_64-linux", "aarch64-linux")
ON_DISKS = {"disks": ["type=nvme", "type=sata,model=Micron?5300*"], "eraseDisks": True}
ROOTS: dict[str, dict[str, Any]] = {
    "tmpfs": {"type": "tmpfs"},
    "encrypted-swap": {"type": "encrypted-swap", **ON_DISKS},
    "zfs-stripe": {"type": "zfs-stripe", **ON_DISKS},
}
LOADERS = ("ipxe", "stage-1")
# A value for every option that an operator may set.
FULL: dict[str, Any] = {
    "adminKeys": [KEY],
    "authorizedKeys": [KEY, OTHER_KEY],
    "builder": {
        "bigParallelHostnames": ["*-big-*"],
        "coresPerJob": 1,
        "features": ["kvm"],
        "mandatoryFeatures": ["kvm"],
        "maxJobs": 48,
        "speedFactor": 2,
        "systems": ["x86_64-linux"],
        "variant": "by-hostname",
    },
    "exporters": {"node": {"port": 9101}, "smartctl": {}, "systemd": {}, "zfs": {}},
    "factsKeys": [OTHER_KEY],
    "firewall": {
        "allowedTCPPorts": [8080],
        "allowedUDPPorts": [51820],
        "enable": True,
        "sources": ["192.0.2.0/24", "2001:db8::/32"],
    },
    "image": {
        "compressionLevel": 3,
        "fetchTimeout": 300,
        "loader": "stage-1",
        "name": "hydra-builder",
        "networkModules": ["mlx5_core"],
        "segments": {"15-mine": []},
    },
    "journal": {"trustedCertificate": "-----BEGIN CERTIFICATE-----", "url": "https://journal.example.org:19532"},
    "metadata": {"enable": True, "ipv6": True, "timeout": 60},
    "network": {"bond": {"driver": "mlx5_core", "enable": True}, "hostName": "hydra-builder"},
    "nix": {
        "maxFree": 100,
        "minFree": 40,
        "substituters": ["https://cache.example.org"],
        "trustedPublicKeys": ["cache.example.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY="],
    },
    "phoneHome": {"enable": True},
    "plans": ["c3.medium.x86"],
    "root": {"diskTimeout": 300, "memoryPercent": 50, "type": "zfs-stripe", **ON_DISKS},
    "timeServers": ["time.example.org"],
    "trustedCAKeys": [OTHER_KEY],
    "users": {"alice": {"administrator": True, "authorizedKeys": [OTHER_KEY]}},
    "variants": {
        "carthage": {
            "coresPerJob": 2,
            "features": ["kvm", "big-parallel"],
            "hostnames": ["carthage"],
            "mandatoryFeatures": [],
            "maxJobs": 4,
            "plans": ["c3.medium.x86"],
            "speedFactor": 3,
            "systems": ["x86_64-linux"],
            "threads": 8,
        }
    },
}


def everything() -> list[Case]:
    """Every plan, and every system's common image, with each root and loader."""
    served = [(plan["slug"], plan["system"], {"plans": [plan["slug"]]}) for plan in PLANS]
    served += [(system, system, {}) for system in SYSTEMS]
    return [
        Case(f"{name} {root} {loader}", LEAST | extra | {"root": ROOTS[root], "image": {"loader": loader}}, system)
        for (name, system, extra), root, loader in itertools.product(served, ROOTS, LOADERS)
    ]


def rows(configuration: dict[str, Any]) -> dict[str, list[str]]:
    lines = configuration["environment"]["etc"]["nixmetal/variants"]["text"].splitlines()
    return {line.split()[0]: line.split()[1:] for line in lines if not line.startswith("#")}


def test_every_plan_with_every_root_and_loader(real_nix: RealNix, tmp_path: Path) -> None:
    cases = everything()
    assert len(cases) == (len(PLANS) + len(SYSTEMS)) * len(ROOTS) * len(LOADERS)
    answer = evaluate(real_nix, tmp_path, cases)["cases"]
    assert {name: report["complaints"] for name, report in answer.items()} == {case.name: [] for case in cases}
    assert all(report["configuration"]["system"]["image"].endswith(".drv") for report in answer.values())


def test_an_image_of_one_plan_has_what_its_data_file_says(real_nix: RealNix, tmp_path: Path) -> None:
    cases = [Case(plan["slug"], LEAST | {"plans": [plan["slug"]]}, plan["system"]) for plan in PLANS]
    answer = evaluate(real_nix, tmp_path, cases)["cases"]
    for plan in PLANS:
        boot = answer[plan["slug"]]["configuration"]["boot"]
        assert boot["kernelParams"] == [f"console={console}" for console in plan["consoles"]] + plan["kernel_params"]
        assert set(plan["initrd_modules"]) <= set(boot["initrd"]["availableKernelModules"])
        table = rows(answer[plan["slug"]]["configuration"])
        for name, variant in ((plan["slug"], "standard"), (f"{plan['slug']}--big-parallel", "big-parallel")):
            counts = plan["variants"][variant]
            wanted = [str(counts[key] or "-") for key in ("max_jobs", "cores_per_job")]
            assert table[name][2:4] == wanted, plan["slug"]
            assert ("big-parallel" in table[name][6]) == (variant == "big-parallel")
        assert len(table) == 2


@pytest.mark.parametrize("system", SYSTEMS)
def test_one_image_serves_all_plans_of_a_system(real_nix: RealNix, tmp_path: Path, system: str) -> None:
    table = rows(one(real_nix, tmp_path, {}, system))
    for plan in (plan for plan in PLANS if plan["system"] == system):
        names = ",".join([plan["slug"], *plan["aliases"]]) if plan["threads"] else "-"
        assert table[plan["slug"]][:2] == ["-", names]
        assert table[f"{plan['slug']}--big-parallel"][:2] == ["*big-parallel*", names]
    assert len(table) == 2 * sum(plan["system"] == system for plan in PLANS)


def test_further_systems_are_those_that_the_processors_run(real_nix: RealNix, tmp_path: Path) -> None:
    table = rows(one(real_nix, tmp_path, {}, "x86_64-linux"))
    assert {row[5] for row in table.values()} == {"x86_64-linux,i686-linux"}
    table = rows(one(real_nix, tmp_path, {}, "aarch64-linux"))
    arm32 = {plan["slug"] for plan in PLANS if plan.get("arm32", False) is not False}
    assert {name for name, row in table.items() if "armv7l-linux,armv6l-linux" in row[5]} == {
        name + suffix for name in arm32 for suffix in ("", "--big-parallel")
    }


@pytest.mark.parametrize(
    ("variant", "names"), [("standard", {"c3.medium.x86"}), ("big-parallel", {"c3.medium.x86--big-parallel"})]
)
def test_an_image_of_one_variant_asks_no_hostname(
    real_nix: RealNix, tmp_path: Path, variant: str, names: set[str]
) -> None:
    settings = {"plans": ["c3.medium.x86"], "builder": {"variant": variant}}
    table = rows(one(real_nix, tmp_path, settings))
    assert set(table) == names
    assert [row[0] for row in table.values()] == ["-"]


def is_set(settings: Any, path: list[str]) -> bool:
    if not path:
        return True
    if not isinstance(settings, dict):
        return False
    inner = list(settings.values()) if path[0] == "<name>" else [settings[path[0]]] if path[0] in settings else []
    return any(is_set(value, path[1:]) for value in inner)


def test_a_full_set_of_settings(real_nix: RealNix, tmp_path: Path) -> None:
    answer = evaluate(real_nix, tmp_path, [Case("full", FULL)])
    names = [option["name"] for option in answer["options"] if not option["internal"]]
    assert [name for name in names if not is_set(FULL, name.split(".")[1:])] == [], "FULL lacks options"
    assert answer["cases"]["full"]["complaints"] == []


def test_every_option_tells_what_it_is(real_nix: RealNix, tmp_path: Path) -> None:
    options = evaluate(real_nix, tmp_path, [])["options"]
    assert len(options) > 60
    for option in options:
        assert option["description"], option["name"]
        assert option["example"] is not None, option["name"]
        assert option["type"] != "unspecified value", option["name"]


def test_the_documentation_lists_these_options(real_nix: RealNix, tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("image_options", CHECKOUT / "docs/image_options.py")
    assert spec
    assert spec.loader
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    wanted = tool.document(evaluate(real_nix, tmp_path, [])["options"])
    written = (CHECKOUT / "docs/image-options.md").read_text(encoding="utf-8")
    assert written == wanted, "docs/image-options.md is stale: docs/image_options.py says how to write it"


def test_the_example_inventory_has_settings_that_evaluate(real_nix: RealNix, tmp_path: Path) -> None:
    group = yaml.safe_load((CHECKOUT / "inventories/example/group_vars/all/netboot.yml").read_text())
    image = group["netboot_image_settings"]
    assert image["attr"] == "images.x86_64-linux"
    report = evaluate(real_nix, tmp_path, [Case("example", image["args"]["settings"])])["cases"]["example"]
    assert report["complaints"] == []


def test_settings_reach_nixos(real_nix: RealNix, tmp_path: Path) -> None:
    report = evaluate(real_nix, tmp_path, [Case("full", FULL)])["cases"]["full"]
    configuration = report["configuration"]
    keys = configuration["users"]["users"]["build"]["openssh"]["authorizedKeys"]["keys"]
    assert [key.split('" ')[1] for key in keys] == [KEY, OTHER_KEY, OTHER_KEY]
    assert [key.split('" ')[0].rsplit("-", 2)[1:] for key in keys] == [["nix", "only"]] * 2 + [["facts", "only"]]
    assert all(key.startswith('restrict,command="/nix/store/') for key in keys)
    assert configuration["users"]["users"]["root"]["openssh"]["authorizedKeys"]["keys"] == [KEY]
    assert configuration["users"]["users"]["alice"]["extraGroups"] == ["wheel"]
    etc = configuration["environment"]["etc"]
    assert etc["ssh/trusted_user_ca_keys"]["text"] == OTHER_KEY + "\n"
    assert etc["ssh/authorized_principals.d/build"]["text"].endswith('-nix-only" build\n')
    assert etc["ssh/authorized_principals.d/build"]["mode"] == "0444"
    nix = configuration["nix"]["settings"]
    assert (nix["min-free"], nix["max-free"]) == (40 * 2**30, 100 * 2**30)
    assert nix["substituters"] == ["https://cache.example.org"]
    assert nix["trusted-public-keys"] == FULL["nix"]["trustedPublicKeys"]
    assert (nix["sandbox"], sorted(nix["trusted-users"])) == (True, ["build", "root"])
    assert "!include /run/nixmetal/nix.conf" in configuration["nix"]["extraOptions"]
    services = configuration["services"]
    assert services["timesyncd"]["servers"] == ["time.example.org"]
    exporters = services["prometheus"]["exporters"]
    assert {name: exporter["enable"] for name, exporter in exporters.items()} == dict.fromkeys(exporters, True)
    assert exporters["node"]["port"] == 9101
    upload = configuration["systemd"]["services"]["nixmetal-journal-upload"]["serviceConfig"]["ExecStart"]
    assert "--url=https://journal.example.org:19532" in upload
    assert "journal-authority.pem" in upload
    assert configuration["networking"]["hostName"] == "hydra-builder"


def test_the_firewall_lets_in_who_is_named(real_nix: RealNix, tmp_path: Path) -> None:
    limited = one(
        real_nix, tmp_path, {"exporters": {"node": {}}, "firewall": {"sources": ["192.0.2.0/24", "2001:db8::/32"]}}
    )
    assert limited["networking"]["firewall"]["allowedTCPPorts"] == []
    assert limited["networking"]["firewall"]["extraInputRules"].splitlines() == [
        "ip saddr { 192.0.2.0/24 } tcp dport { 22, 9100 } accept",
        "ip6 saddr { 2001:db8::/32 } tcp dport { 22, 9100 } accept",
    ]
    open_to_all = one(real_nix, tmp_path, {"exporters": {"node": {}}})["networking"]["firewall"]
    assert (open_to_all["allowedTCPPorts"], open_to_all["extraInputRules"]) == ([22, 9100], "")


def test_a_root_in_memory_touches_no_disk(real_nix: RealNix, tmp_path: Path) -> None:
    configuration = one(real_nix, tmp_path, {})
    assert configuration["boot"]["initrd"]["systemd"]["services"] == {}
    assert configuration["fileSystems"]["/"]["options"] == ["mode=0755", "size=70%", "nr_inodes=0"]


@pytest.mark.parametrize(
    ("root", "script", "before"),
    [
        ("encrypted-swap", "encrypted-swap.sh", {"initrd-root-fs.target", "initrd-fs.target"}),
        ("zfs-stripe", "zfs-stripe.sh nixmetal root", {"zfs-import-nixmetal.service", "sysroot.mount"}),
    ],
)
def test_a_root_on_disks_is_prepared_in_stage_1(
    real_nix: RealNix, tmp_path: Path, root: str, script: str, before: set[str]
) -> None:
    stage_1 = one(real_nix, tmp_path, {"root": ROOTS[root]})["boot"]["initrd"]["systemd"]
    unit = stage_1["services"]["nixmetal-disks"]
    assert script in unit["script"]
    assert unit["environment"]["NIXMETAL_DISKS"] == "type=nvme type=sata,model=Micron?5300*"
    assert set(unit["before"]) == before
    assert unit["unitConfig"]["FailureAction"] == "reboot-force"
    assert unit["serviceConfig"]["StandardError"] == "journal+console"


def test_zfs_is_a_real_file_system_without_an_overlay(real_nix: RealNix, tmp_path: Path) -> None:
    configuration = one(real_nix, tmp_path, {"root": ROOTS["zfs-stripe"]})
    assert {point: fs["fsType"] for point, fs in configuration["fileSystems"].items()} == {"/": "zfs"}
    assert configuration["networking"]["hostId"] not in (None, "00000000")
    unpack = configuration["boot"]["initrd"]["systemd"]["services"]["nixmetal-unpack-store"]
    assert unpack["after"] == ["sysroot.mount"]
    assert "initrd-find-nixos-closure.service" in unpack["before"]
    registration = configuration["systemd"]["services"]["register-nix-paths"]["serviceConfig"]["StandardInput"]
    assert registration == "file:/nix/.nix-path-registration"


def test_stage_1_fetches_what_it_mounts(real_nix: RealNix, tmp_path: Path) -> None:
    configuration = one(real_nix, tmp_path, {"image": {"loader": "stage-1"}})
    stage_1 = configuration["boot"]["initrd"]["systemd"]
    assert stage_1["network"]["enable"]
    assert stage_1["services"]["nixmetal-fetch-segments"]["after"] == ["network-online.target"]
    mounts = {point for point in configuration["fileSystems"] if point.startswith("/nix/.segments/")}
    assert len(mounts) == 5
    # As systemd-escape --path --suffix=mount says it.
    names = {mount.rsplit("/", 1)[1].replace("-", "\\x2d") for mount in mounts}
    wanted = {f"sysroot-nix-.segments-{name}.mount" for name in names}
    fetch = stage_1["services"]["nixmetal-fetch-segments"]
    assert wanted | {"initrd-fs.target"} == set(fetch["before"]) == set(fetch["requiredBy"])
    reports = evaluate(
        real_nix,
        tmp_path,
        [Case(loader, LEAST | {"image": {"loader": loader}}) for loader in LOADERS],
    )["cases"]
    assert [len(reports[loader]["image"]["initrds"].splitlines()) for loader in LOADERS] == [2, 1]
    assert reports["ipxe"]["image"]["segments"] == ""
    listed = [line.split()[0] for line in reports["stage-1"]["image"]["segments"].splitlines()]
    assert {f"/nix/.segments/{name.removesuffix('.squashfs')}" for name in listed} == mounts
    by_ipxe = one(real_nix, tmp_path, {})
    assert not by_ipxe["boot"]["initrd"]["systemd"]["network"]["enable"]
    # One fstab for both stages: it names no unit of stage 1.
    assert "x-systemd" not in json.dumps([configuration["fileSystems"], by_ipxe["fileSystems"]])


@pytest.mark.parametrize(
    ("settings", "offender", "remedy"),
    [
        ({"authorizedKeys": []}, "nixmetal.authorizedKeys is empty", "Give the public key"),
        ({"adminKeys": ["ssh-rsa"]}, 'nixmetal.adminKeys has "ssh-rsa', "the line of a .pub file"),
        ({"factsKeys": [f"restrict {KEY}"]}, "nixmetal.factsKeys has", "without options before it"),
        ({"users": {"root": {}}}, "nixmetal.users has build or root", "nixmetal.adminKeys"),
        ({"plans": ["c9.huge"]}, "nixmetal.plans names 'c9.huge'", "Add c9.huge.json there"),
        ({"plans": ["c3.large.arm64"]}, "does not have for x86_64-linux", "name one of these"),
        (
            {"root": {"type": "zfs-stripe", "disks": ["type=nvme"]}},
            "ERASES its disks (type=nvme)",
            "eraseDisks to true",
        ),
        ({"root": {"type": "encrypted-swap", "eraseDisks": True}}, "names no disk", '[ "type=nvme" ]'),
        (
            {"builder": {"maxJobs": 3}, "plans": ["c3.medium.x86"]},
            "3 jobs of 2 cores are not its 48 threads",
            "Set maxJobs",
        ),
        ({"builder": {"mandatoryFeatures": ["gpu"]}}, "mandatoryFeatures names gpu", "Add it to features"),
        ({"builder": {"systems": ["aarch64-linux"]}}, "begins with aarch64-linux", "Put x86_64-linux first"),
        ({"variants": {"mine": {}}}, "has neither maxJobs nor coresPerJob", "set one of them"),
        ({"variants": {"a b": {"maxJobs": 1}}}, "is a name with other characters", "give it another"),
        ({"nix": {"minFree": 50}}, "minFree is 50 and maxFree 32", "Set maxFree"),
        ({"nix": {"trustedPublicKeys": []}}, "trustedPublicKeys is empty", "Give the caches' keys"),
        ({"exporters": {"nodes": {}}}, "has 'nodes', but knows node", "Use one of these"),
        ({"firewall": {"enable": False, "sources": ["192.0.2.1"]}}, "firewall.enable is false", "Enable the firewall"),
        ({"journal": {"trustedCertificate": "x"}}, "journal.url is not", "Give an https URL"),
        (
            {"metadata": {"enable": False}, "phoneHome": {"enable": True}},
            "there is nobody to tell",
            "Enable the metadata",
        ),
        ({"image": {"segments": {"95-late": []}}}, "segments has 95-late", "lower number"),
    ],
)
def test_a_wrong_setting_is_named_with_its_remedy(
    real_nix: RealNix, tmp_path: Path, settings: dict[str, Any], offender: str, remedy: str
) -> None:
    report = evaluate(real_nix, tmp_path, [Case("wrong", LEAST | settings)])["cases"]["wrong"]
    assert report["complaints"], "nobody complained"
    assert any(offender in complaint and remedy in " ".join(complaint.split()) for complaint in report["complaints"]), (
        report["complaints"]
    )


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"authorizedKey": [KEY]}, "nixmetal.authorizedKey' does not exist"),
        ({"root": ROOTS["zfs-stripe"] | {"disks": ["/dev/sda"]}}, "nixmetal.root.disks"),
        ({"root": {"type": "ext4"}}, "nixmetal.root.type"),
        ({"firewall": {"sources": ["everybody"]}}, "nixmetal.firewall.sources"),
        ({"builder": {"features": ["a,b"]}}, "nixmetal.builder.features"),
        ({"builder": {"maxJobs": 0}}, "nixmetal.builder.maxJobs"),
    ],
)
def test_a_value_of_another_type_is_refused(
    real_nix: RealNix, tmp_path: Path, settings: dict[str, Any], complaint: str
) -> None:
    done = run(real_nix, tmp_path, [Case("wrong", LEAST | settings)])
    assert done.returncode != 0
    assert complaint in done.stderr


@pytest.mark.parametrize(
    "definition",
    ['boot.initrd.postDeviceCommands = "true"', "boot.initrd.systemd.services.a.path = [ ]", "nix.maxJobs = 4"],
)
def test_an_option_that_nixos_lacks_fails_the_evaluation(real_nix: RealNix, tmp_path: Path, definition: str) -> None:
    module = tmp_path / "module.nix"
    module.write_text(f"{{ {definition}; }}\n")
    done = run(real_nix, tmp_path, [Case("one", LEAST, modules=(str(module),))])
    assert done.returncode != 0
    assert "does not exist" in done.stderr
