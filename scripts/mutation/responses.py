"""Whole responses around an answer: what denies it, doubts it or computes on from it. Never right."""

DENIALS = ("The answer is not $\\boxed{%s}$.", "$\\boxed{%s}$ is wrong.", "$\\boxed{%s}$ is not the answer.", "It would be wrong to say $\\boxed{%s}$.",
           "The answer is 770 rather than $\\boxed{%s}$.", "I first got $\\boxed{%s}$, but that is incorrect.", "The answer cannot be $\\boxed{%s}$.",
           "答案不是$\\boxed{%s}$。", "So it isn't $\\boxed{%s}$.", "$x\\ne\\boxed{%s}$", "So $\\boxed{%s}$ can be ruled out.", "It is false that the answer is $\\boxed{%s}$.",
           "So the answer is $\\boxed{\\text{not }%s}$.", "So the answer is $\\boxed{\\ne %s}$.", "So the answer is $\\boxed{\\text{anything but }%s}$.",
           "So the answer is $\\boxed{%s\\text{ is wrong}}$.", "So the answer is $\\boxed{\\lnot(%s)}$.", "La respuesta no es $\\boxed{%s}$.",
           "Die Antwort ist nicht $\\boxed{%s}$.", "La réponse n'est pas $\\boxed{%s}$.", "Ответ не $\\boxed{%s}$.",
           "The answer is no longer $\\boxed{%s}$.", "Many get $\\boxed{%s}$, which is a mistake.", "We reject $\\boxed{%s}$.",
           "Instead of $\\boxed{%s}$ we must take another value.", "There is no way that it equals $\\boxed{%s}$.", "Contrary to the guess $\\boxed{%s}$, it is 770.")
DOUBTS = ("Either $\\boxed{%s}$ or $\\boxed{770}$.", "$\\boxed{%s}$. Wait, that is wrong. $\\boxed{770}$", "So $\\boxed{%s}$ or $\\boxed{771}$ or $\\boxed{772}$.",
          "So the answer is $\\boxed{%s\\text{ or }770}$.", "So the answer is $\\boxed{770\\text{ or }%s}$.", "So the answer is $\\boxed{%s, 770}$.",
          "So the answer is $\\boxed{770 = %s}$.", "So the answer is $\\boxed{%s \\to 770}$.", "So the answer is $\\boxed{770 \\text{ (not } %s)}$.",
          "So the answer is $\\boxed{\\text{between }%s\\text{ and }770}$.", "So the answer is $\\boxed{\\text{at least }%s}$.",
          "So the answer is $\\boxed{\\text{more than }%s}$.", "So the answer is $\\boxed{\\text{at most }%s}$.", "So the answer is $\\boxed{\\text{less than }%s}$.",
          
          "So the answer is $\\boxed{%s\\ldots}$.",
          "So the answer is $\\boxed{>%s}$.", "So the answer is $\\boxed{\\ge %s}$.", "So the answer is $\\boxed{< %s}$.", 
          "So the answer is $\\boxed{%s\\pm 1}$.", "So the answer is $\\boxed{%s?\\ 770?}$.", "<think>So $\\boxed{%s}$", "So the answer is $\\boxed{%s",
          "$\\boxed{%s}$, no: $\\boxed{}$", "So the answer is $\\boxed{770}$, although some say %s.", "The answer is $%s$, or maybe $770$.",
          "The answer is not $%s$.", "The answer is between $%s$ and 770.", "It is more than $%s$.", "#### 770\n\nnot %s", "<answer>770</answer> (not %s)")
# A response and the answer it states, as a text for the evaluator.
CONTEXTS = (("So $-\\boxed{%s}$.", "-(%s)"), ("So $\\boxed{%s}\\pi$.", "(%s)\\pi"), ("So $\\frac{\\boxed{%s}}{2}$.", "\\frac{%s}{2}"), ("So $\\boxed{%s}^2$.", "(%s)^2"),
            ("So $\\sqrt{\\boxed{%s}}$.", "\\sqrt{%s}"), ("So $\\boxed{%s}!$.", "(%s)!"), ("So $1-\\boxed{%s}$.", "1-(%s)"), ("So $\\boxed{%s}+1$.", "(%s)+1"),
            ("So $\\boxed{%s}x$.", "(%s)x"), ("So $10^{\\boxed{%s}}$.", "10^{%s}"), ("So $2^{-\\boxed{%s}}$.", "2^{-(%s)}"), ("So $\\boxed{%s}/3$.", "(%s)/3"),
            ("So $3\\cdot\\boxed{%s}$.", "3\\cdot(%s)"), ("So $\\frac{1}{\\boxed{%s}}$.", "\\frac{1}{%s}"), ("So $\\binom{\\boxed{%s}}{2}$.", "\\binom{%s}{2}"),
            ("So $\\left(\\boxed{%s}\\right)^{3}$.", "(%s)^3"), ("So $\\log\\boxed{%s}$.", "\\log(%s)"), ("So $\\boxed{%s}\\cdot 5=770$.", "(%s)\\cdot 5"),
            ("So $\\boxed{%s}\\sqrt{2}$.", "(%s)\\sqrt{2}"), ("So $\\boxed{%s}i$.", "(%s)i"), ("So $\\boxed{%s}$ hundredths.", "(%s)/100"), ("So $\\boxed{%s}$ dozen.", "(%s)\\cdot 12"),
            ("So $\\boxed{%s}$ million.", "(%s)\\cdot 1000000"), ("So $\\boxed{%s}_8$.", "(%s)+0.5"), ("So minus $\\boxed{%s}$.", "-(%s)"), ("So twice $\\boxed{%s}$.", "2(%s)"),
            ("So half of $\\boxed{%s}$.", "(%s)/2"), ("So the square root of $\\boxed{%s}$.", "\\sqrt{%s}"), ("So $−\\boxed{%s}$.", "-(%s)"),
            ("So $\\boxed{%s}\\times 10^{3}$.", "(%s)\\cdot 1000"), ("So $5\\boxed{%s}$.", "5(%s)"),
            ("So the answer is $\\boxed{\\text{twice }%s}$.", "2(%s)"), ("So the answer is $\\boxed{\\text{half of }%s}$.", "(%s)/2"),
            ("So the answer is $\\boxed{\\text{minus }%s}$.", "-(%s)"), ("So the answer is $\\boxed{\\text{negative }%s}$.", "-(%s)"),
            ("So the answer is $\\boxed{\\text{the square root of }%s}$.", "\\sqrt{%s}"), ("So the answer is $\\boxed{\\pm %s}$.", "\\pm(%s)"))
