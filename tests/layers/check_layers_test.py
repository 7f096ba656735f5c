#!/usr/bin/env python3
"""scripts/check_layers.py finds each kind of violation in a small tree, and nothing in a clean one."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "check_layers.py"
CLEAN = {
    "include/grpo/base/error.h": "#pragma once\n#include <string>\n",
    "include/grpo/io/file.h": '#pragma once\n#include "grpo/base/error.h"\n',
    "src/base/CMakeLists.txt": "grpo_module(base SOURCES error.cpp)\n",
}


class CheckLayers(unittest.TestCase):
    def check(self, files):
        """Exit status and output lines for CLEAN plus `files`."""
        with tempfile.TemporaryDirectory() as folder:
            for name, text in {**CLEAN, **files}.items():
                path = pathlib.Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            done = subprocess.run([sys.executable, SCRIPT, folder], capture_output=True, text=True, check=False)
        self.assertEqual(done.stderr, "")
        return done.returncode, done.stdout.splitlines()

    def assert_found(self, name, text, line, what):
        status, output = self.check({name: text})
        self.assertEqual(output[:-1], [f"{name}:{line}: {what}"])
        self.assertEqual(status, 1)

    def assert_clean(self, files):
        status, output = self.check(files)
        self.assertEqual(output, [f"{len({**CLEAN, **files})} files, 0 violations of the module map"])
        self.assertEqual(status, 0)

    def test_a_clean_tree_passes(self):
        self.assert_clean({})

    def test_an_arrow_against_the_map(self):
        self.assert_found("src/verifier/math.cpp", '\n#include "grpo/io/file.h"\n', 2,
                          "verifier may not include io (it may include: base)")
        self.assert_found("include/grpo/base/x.h", '#pragma once\n#include <grpo/io/file.h>\n', 2,
                          "base may not include io (it may include: none)")
        self.assert_found("src/rollout/x.cpp", '#include "grpo/tokenizer/tokenizer.h"\n', 1,
                          "rollout may not include tokenizer (it may include: base, io, kernels, models, nn)")

    def test_threads_of_a_source_without_openmp(self):
        self.assert_found("src/nn/x.cpp", "// at::parallel_for\nvoid f() { at::parallel_for(0, 1, 1, g); }\n", 2,
                          "at::parallel_for runs on one thread without OpenMP: use what src/kernels/parallel.cpp offers")
        self.assert_clean({"src/kernels/parallel.cpp": "void f() { at::parallel_for(0, 1, 1, g); }\n"})

    def test_arrows_reach_through(self):
        self.assert_clean({"src/rollout/x.cpp": '#include "grpo/io/file.h"\n',
                           "src/app/x.cpp": '#include "grpo/config/config.h"\n#include "grpo/algo/kl.h"\n',
                           "src/trainer/x.cpp": '#include "grpo/config/config.h"\n#include "grpo/metrics/m.h"\n'})

    def test_config_and_metrics_belong_to_trainer_and_app(self):
        self.assert_found("src/data/x.cpp", '#include "grpo/config/config.h"\n', 1,
                          "data may not include config: only trainer and app do")
        self.assert_found("src/rollout/x.cpp", '#include "grpo/metrics/m.h"\n', 1,
                          "rollout may not include metrics: only trainer and app do")

    def test_unknown_modules(self):
        self.assert_found("src/base/x.cpp", '#include "grpo/utils/x.h"\n', 1, "grpo/utils/x.h: utils is not in the module map")
        status, output = self.check({"src/utils/x.cpp": "\n"})
        self.assertEqual((status, output[0]), (1, "src/utils:1: utils is not in the module map"))

    def test_headers_that_lean_on_others_for_a_library(self):
        self.assert_found("include/grpo/io/x.h", '#pragma once\n#include "grpo/io/file.h"\nstd::string f();  // std::map\n', 3,
                          "std::string: a header includes what it uses: <string>")
        self.assert_found("src/io/x.h", '#pragma once\nconstexpr const char* kText = "std::map";\nint64_t f();\n', 3,
                          "int64_t: a header includes what it uses: <cstdint>")
        self.assert_found("src/nn/x.h", "#pragma once\nvoid f(const at::Tensor& x);\n", 2,
                          "a header that names LibTorch's types includes one of its headers")
        self.assert_clean({"src/nn/x.h": "#pragma once\n#include <ATen/core/Tensor.h>\n#include <vector>\nvoid f(std::vector<at::Tensor> x);\n"})

    def test_a_source_includes_its_own_header_first(self):
        own = {"src/io/x.h": "#pragma once\n", "include/grpo/base/y.h": "#pragma once\n"}
        self.assert_clean({**own, "src/io/x.cpp": '// X.\n#include "io/x.h"\n\n#include <string>\n', "src/base/y.cpp": '#include "grpo/base/y.h"\n'})
        status, output = self.check({**own, "src/io/x.cpp": '#include <string>\n#include "io/x.h"\n'})
        self.assertEqual((status, output[0]), (1, "src/io/x.cpp:1: io/x.h is to be the first include: so the compiler shows that it needs no other before it"))

    def test_private_headers(self):
        private = {"src/io/parts.h": "#pragma once\n"}
        self.assert_clean({**private, "src/io/x.cpp": '#include "io/parts.h"\n'})
        status, output = self.check({**private, "src/data/x.cpp": '#include "io/parts.h"\n'})
        self.assertEqual((status, output[0]), (1, "src/data/x.cpp:1: io/parts.h is private to io; include a header of include/grpo/io"))
        status, output = self.check({**private, "include/grpo/io/x.h": '#pragma once\n#include "io/parts.h"\n'})
        self.assertEqual((status, output[0]),
                         (1, "include/grpo/io/x.h:2: io/parts.h: a public header may not include a private one"))
        self.assert_found("src/data/x.cpp", '#include "../io/parts.h"\n', 1,
                          '../io/parts.h: name it from the root ("grpo/<module>/..." or "<module>/...")')

    def test_libtorch(self):
        self.assert_found("include/grpo/algo/x.h", "#pragma once\n#include <torch/torch.h>\n", 2,
                          "torch/torch.h: include what is used, e.g. ATen/ATen.h (compile time)")
        for module in ("verifier", "reward", "tokenizer", "data", "io"):
            for include in ("ATen/ATen.h", "torch/types.h", "c10/util/Half.h"):
                self.assert_found(f"src/{module}/x.cpp", f"#include <{include}>\n", 1, f"{include}: {module} needs no LibTorch")
        self.assert_clean({"include/grpo/algo/x.h": "#pragma once\n#include <ATen/core/Tensor.h>\n"})

    def test_cuda_and_nccl(self):
        for include in ("cuda_runtime.h", "cuda.h", "cub/cub.cuh", "cuda/std/array", "c10/cuda/CUDAStream.h", "cublas_v2.h"):
            self.assert_found("src/nn/x.cpp", f"#include <{include}>\n", 1, f"{include}: CUDA headers belong in kernels")
            self.assert_found("include/grpo/kernels/x.h", f"#pragma once\n#include <{include}>\n", 2,
                              f"{include}: CUDA stays in sources")
        self.assert_found("src/optim/x.cpp", "#include <nccl.h>\n", 1, "nccl.h: NCCL headers belong in dist and kernels")
        self.assert_clean({"src/kernels/x.cu": "#include <cuda_runtime.h>\n", "src/dist/x.cpp": "#include <nccl.h>\n"})

    def test_pragma_once(self):
        self.assert_found("src/io/x.h", "// #pragma once\n", 1, "no #pragma once")

    def test_comments_and_strings_are_no_includes(self):
        self.assert_clean({"src/base/x.cpp": '// #include "grpo/io/file.h"\n/* a\n#include "grpo/io/file.h"\n*/\n'
                                             'const char* s = "/*";\n'})
        self.assert_found("src/base/x.cpp", 'const char* s = "/*";\n#include "grpo/io/file.h"\n', 2,
                          "base may not include io (it may include: none)")

    def test_cmake_uses(self):
        self.assert_found("src/verifier/CMakeLists.txt", "# verifier\ngrpo_module(verifier\n  SOURCES x.cpp USES base io\n  LINKS pcre)\n", 2,
                          "USES: verifier may not include io (it may include: base)")
        self.assert_found("src/io/CMakeLists.txt", "grpo_module(io SOURCES x.cpp USES base TORCH)\n", 1,
                          "TORCH: io needs no LibTorch")
        self.assert_clean({"src/algo/CMakeLists.txt": "grpo_module(algo SOURCES x.cpp USES base TORCH)\n"})

    def test_an_empty_tree_is_no_success(self):
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run([sys.executable, SCRIPT, folder], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 1)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
