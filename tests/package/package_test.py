#!/usr/bin/env python3
"""What cmake --install leaves: a program that needs neither the build folder nor the cache, and libraries that another
project links. Arguments: cmake, the build folder, the source folder."""
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unittest

CMAKE, BUILD, SOURCE = sys.argv[1:4]
# The C and C++ runtimes, which every machine has.
RUNTIME = ("libc.", "libm.", "libdl.", "librt.", "libpthread.", "libutil.", "libresolv.", "libstdc++.", "libgcc_s.", "ld-linux", "linux-vdso")


def run(*args, **options):
    result = subprocess.run(args, capture_output=True, text=True, timeout=500, **options)
    if result.returncode != 0:
        raise AssertionError(f"{args} ended with {result.returncode}:\n{result.stdout[-3000:]}\n{result.stderr[-3000:]}")
    return result.stdout


class InstalledTree(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(dir=BUILD)
        first = os.path.join(cls.folder.name, "installed")
        run(CMAKE, "--install", BUILD, "--prefix", first)
        # As after unpacking elsewhere: nothing may remember where it was installed.
        cls.tree = os.path.join(cls.folder.name, "moved")
        os.rename(first, cls.tree)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def bare(self):
        return {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "GRPO_CACHE": "/nonexistent"}

    def test_every_library_is_its_own_or_the_runtime(self):
        listing = run("ldd", os.path.join(self.tree, "bin", "grpo"), env=self.bare())
        self.assertIn("libtorch_cpu.so", listing)
        self.assertIn("libflint.so", listing)
        for line in listing.splitlines():
            name = os.path.basename(line.split()[0])
            if not name.startswith(RUNTIME):
                self.assertIn("=> " + self.tree, os.path.normpath(line).replace("/bin/../", "/"), line)

    def test_trains_where_there_is_no_cache(self):
        with tempfile.TemporaryDirectory() as folder:
            program = os.path.join(self.tree, "bin", "grpo-train")
            run(program, "--config", "quickstart_2grpo", "trainer.steps=2", "rollout.prompts_per_step=8", "eval.every_steps=0",
                cwd=folder, env=self.bare())
            with open(os.path.join(folder, "runs", "quickstart_2grpo", "metrics.jsonl"), encoding="utf-8") as file:
                self.assertEqual([json.loads(line)["step"] for line in file], [1, 2])

    def test_another_project_builds_against_its_libraries(self):
        with tempfile.TemporaryDirectory() as folder:
            run(CMAKE, "-G", "Ninja", "-S", os.path.join(SOURCE, "docs", "examples", "library"), "-B", folder, "-DCMAKE_PREFIX_PATH=" + self.tree)
            run(CMAKE, "--build", folder)
            judge = os.path.join(folder, "judge")
            self.assertEqual(run(judge, r"\frac{1}{2}", r"so it is \boxed{0.5}").split(":")[0], "right")
            self.assertEqual(subprocess.run([judge, "1", r"\boxed{2}"], capture_output=True).returncode, 1)
            quickstart = os.path.join(SOURCE, "configs", "quickstart")
            out = run(os.path.join(folder, "train"), os.path.join(quickstart, "model"), os.path.join(quickstart, "train.jsonl"), os.path.join(folder, "runs"))
            self.assertIn("8 prompts x 2 completions", out)
            self.assertTrue(os.path.exists(os.path.join(folder, "runs", "example", "checkpoints", "step_00000002", "model", "model.safetensors")))

    def test_the_verifier_alone_needs_no_torch(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "CMakeLists.txt"), "w", encoding="utf-8") as file:
                file.write("cmake_minimum_required(VERSION 3.22)\nproject(verifier_alone LANGUAGES CXX)\nfind_package(grpo REQUIRED COMPONENTS verifier)\n"
                           "if(TARGET grpo::torch OR NOT TARGET grpo::verifier)\n  message(FATAL_ERROR \"not the verifier alone\")\nendif()\n")
            run(CMAKE, "-S", folder, "-B", os.path.join(folder, "build"), "-DCMAKE_PREFIX_PATH=" + self.tree,
                env={**os.environ, "GRPO_CACHE": "/nonexistent"})


class Packages(unittest.TestCase):
    """Where packages put their files; packed without the libraries, which take a minute."""

    def pack(self, generator, folder):
        run(os.path.join(os.path.dirname(CMAKE), "cpack"), "-G", generator, "-B", folder, "-D", "CPACK_COMPONENTS_ALL=program", cwd=BUILD)
        return [os.path.join(folder, name) for name in os.listdir(folder) if name.endswith((".deb", ".tar.gz"))]

    def test_an_archive_has_one_folder_of_its_own(self):
        with tempfile.TemporaryDirectory() as folder:
            (archive,) = self.pack("TGZ", folder)
            with tarfile.open(archive) as tar:
                names = tar.getnames()
        (top,) = {name.split("/")[0] for name in names}
        self.assertTrue({f"{top}/bin/grpo", f"{top}/bin/grpo-train", f"{top}/share/grpo-train/configs/quickstart_2grpo.yaml"} <= set(names), names)

    @unittest.skipUnless(shutil.which("dpkg-deb"), "no dpkg-deb here")
    def test_a_debian_package_installs_into_usr(self):
        with tempfile.TemporaryDirectory() as folder:
            (package,) = self.pack("DEB", folder)
            listing = run("dpkg-deb", "--contents", package)
        self.assertRegex(listing, r"(?m) \./usr/bin/grpo$")
        self.assertEqual([line for line in listing.splitlines() if " ./usr/" not in line and not line.endswith(" ./")], [])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
