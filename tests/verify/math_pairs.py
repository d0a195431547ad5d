r"""Pairs of a reference and an answer as MATH has them, with whether they are the same.

EQUAL and DIFFERENT are mathematics: any careful reader gives these labels. DECIDED are this verifier's own
decisions, where graders differ. OBSERVED are pairs from the tests of math-verify 0.9 (Apache 2.0), with the
labels given there; where this verifier decides otherwise, DECIDED has the pair with the other label.
An answer stands inside \boxed{...}.
"""

# fmt: off
EQUAL: dict[str, list[tuple[str, str]]] = {
    "numbers": [
        ("73", "73"), ("73", "73.0"), ("1000", "1e3"), ("1234", "1,234"), ("1234", r"1{,}234"),
        ("1234", r"1,\!234"), ("73", "\uff17\uff13"), ("-5", "\u22125"), ("12", "+12"), ("0.5", ".5"),
        ("5", "005"), (r"1.2\times 10^3", "1200"), ("1200", r"1.2\times 10^{3}"),
        (r"10^{10}", "10000000000"), (r"14{,}916", "14916"), ("1000000", r"10^6"), ("120", "5!"),
        ("42", r"\left(42\right)"), (r"\$18.90", "18.90"), ("18.90", r"\$18.90"), ("2520", r"2,\!520"),
        (r"\frac{1}{6}", r"0.1\overline{6}"), ("1/3", r"0.\overline{3}"),
    ],
    "fractions": [
        (r"\frac{1}{2}", "1/2"), (r"\frac{1}{2}", "0.5"), (r"\frac12", r"\dfrac{1}{2}"),
        (r"\tfrac{3}{4}", r"\frac{3}{4}"), (r"-\frac{1}{3}", r"\frac{-1}{3}"),
        (r"-\frac{1}{3}", r"\frac{1}{-3}"), (r"\frac{3}{2}", r"1\frac{1}{2}"), (r"1\frac{1}{2}", "1 1/2"),
        (r"\frac{6}{4}", r"\frac{3}{2}"), (r"\frac 94", "9/4"), (r"\frac{1}{8}", "0.125"),
        ("0.125", r"\frac18"), (r"\frac{14}{3}", "14/3"), (r"\frac{1}{3}", r"{1}/{3}"), ("2.5", "2½"),
        (r"\frac{10}{9}", r"\cfrac{10}{9}"), (r"1/2^{99}", r"\frac{1}{2^{99}}"),
        (r"\frac{1}{20!}", r"\frac{1}{20!}"), (r"-2\frac{1}{2}", "-2.5"),
    ],
    "radicals and constants": [
        (r"2\sqrt{3}", r"\sqrt{12}"), (r"\sqrt{2}", r"\sqrt2"), (r"\sqrt{2}", "√2"),
        (r"\sqrt{2}", "sqrt(2)"), (r"\frac{\sqrt{2}}{2}", r"\frac{1}{\sqrt{2}}"),
        (r"\sqrt{5+2\sqrt{6}}", r"\sqrt{2}+\sqrt{3}"), (r"3\sqrt{13}", r"\sqrt{117}"),
        (r"\sqrt[3]{54}", r"3\sqrt[3]{2}"), (r"\sqrt[3]{2}", r"2^{1/3}"), (r"2\pi", r"\pi\cdot 2"),
        (r"\frac{9}{4}\pi", r"\frac{9\pi}{4}"), (r"\pi", "π"), (r"2\pi", "2pi"), (r"e^2", r"e\cdot e"),
        (r"1-\frac{1}{e}", r"\frac{e-1}{e}"), (r"\frac{1}{\sqrt{3}+1}", r"\frac{\sqrt3-1}{2}"),
        (r"\ln 4", r"2\ln 2"), (r"\log_2 8 + \pi", r"3+\pi"), (r"\sin 60^\circ + 1", r"1+\frac{\sqrt3}{2}"),
        (r"\arctan 1", r"\frac{\pi}{4}"), (r"10\sqrt{5}", r"\sqrt{500}"), (r"\sqrt{17}", "4.123106"),
        (r"(1+\sqrt{2})^2", r"3+2\sqrt{2}"), (r"\frac{5\sqrt{42}}{27}", r"\frac{10\sqrt{10.5}}{27}"),
        (r"3^{99}\sqrt{2}", r"3^{98}\sqrt{18}"), (r"\binom{10}{3}\pi", r"120\pi"),
    ],
    "complex numbers": [
        ("3+4i", "4i+3"), (r"i\sqrt{3}", r"\sqrt{-3}"), (r"\frac{1}{i}", "-i"), ("2i", r"2\cdot i"),
        (r"\frac{1+i}{\sqrt2}", r"e^{i\pi/4}"), ("-3-4i", "(1-2i)^2"),
    ],
    "expressions": [
        ("2x+3", "3+2x"), ("x^2+x", "x(x+1)"), (r"\frac{x+2}{7}", r"\frac{x}{7}+\frac{2}{7}"),
        ("2-2p", "2(1-p)"), (r"\tan^2 y+1", r"\sec^2 y"), (r"2\sin b\cos a", r"2\cos a\sin b"),
        (r"\frac{\pi r}{h+r}", r"\pi\frac{r}{r+h}"), ("(x-1)(x+1)", "x^2-1"), ("x^{2}", "x*x"), ("ab", "ba"),
        (r"\frac{1}{x}", "x^{-1}"), (r"\sqrt{x}", "x^{1/2}"), (r"22p\sqrt{35p}", r"22\sqrt{35p^3}"),
        ("x^2+2x+1", "(x+1)^2"), ("6x^3", r"6\cdot x^{3}"), ("x**2", "x^2"),
        (r"\frac{1}{x-1}-\frac{1}{x+1}", r"\frac{2}{x^2-1}"), (r"\ln(xy)", r"\ln x+\ln y"),
        (r"2^{n+1}", r"2\cdot 2^n"), ("n!", "n!"), ("a_1+a_2", "a_2+a_1"), ("|x-3|", "|3-x|"),
        ("-x+4", "4-x"), ("x^{12}y^3", "y^3x^{12}"), (r"\theta+\alpha", r"\alpha+\theta"),
        (r"(-1)^n", r"(-1)^{n+2}"), (r"\cos(2x)", r"1-2\sin^2(x)"),
    ],
    "equations": [
        ("y=2x+3", "y = 3+2x"), ("y=2x+3", "2x-y+3=0"), ("x=5", "5"), ("5", "x=5"), ("2x+4y=6", "x+2y=3"),
        (r"\frac{x^2}{9}+\frac{y^2}{4}=1", "4x^2+9y^2=36"), ("f(x)=2x+1", "1+2x"), ("x=5", "5=x"),
        ("34x+45y-20z+100=0", "-34x-45y+20z-100=0"), ("(p,q)=(3,2)", "(3,2)"), ("x=1,y=2", "y=2,x=1"),
        ("12", "3*4=12"), ("x+y=7", "7"), ("AB=4", "4"),
    ],
    "intervals and inequalities": [
        ("[0,1)", r"\left[0,1\right)"), (r"[0,\infty)", r"x\ge 0"), (r"-2\le x\le 7", "[-2,7]"),
        (r"x\in[-2,7]", "[-2,7]"), ("(1,3)", "1<x<3"), (r"(-\infty,2)\cup(2,\infty)", r"x\ne 2"),
        (r"(2,3]\cup[5,6)", r"[5,6)\cup(2,3]"), (r"[1,2]\cup[2,3]", "[1,3]"),
        (r"(-\infty,\infty)", r"\mathbb{R}"), ("x<1", "1>x"), (r"x\leq 5", r"5\geq x"),
        (r"(\frac35,\frac83]", "(0.6,2.6667]"), ("y>2x", "2x<y"), ("x<1", "-x>-1"),
        (r"[-1,-\frac12)\cup(0,1)", r"[-1, -\tfrac12) \cup (0, 1)"),
        ("(2,12) U (12,102)", r"(2,12)\cup(12,102)"), (r"(-\infty,-1)\cup(1,\infty)", r"x<-1\text{ or }x>1"),
        (r"(1,+\infty)", r"(1,\infty)"), ("x >= 5", r"x\geqslant 5"),
    ],
    "lists, sets, points": [
        ("1,-2", "-2,1"), (r"\{1,2,3\}", r"\{3,1,2\}"), ("(1,2)", "(1, 2)"),
        (r"\left(3,\frac{\pi}{2}\right)", r"(3,\pi/2)"), ("6,8", r"6\text{ and }8"),
        ("1,2,3", "1, 2, and 3"), (r"1\pm\sqrt{19}", r"1+\sqrt{19},1-\sqrt{19}"), (r"\pm 5", "-5,5"),
        (r"\{1\pm\sqrt5,-2\}", r"\{-2,1-\sqrt5,1+\sqrt5\}"),
        (r"\frac{3\pm\sqrt5}{2}", r"\frac{3-\sqrt5}{2},\frac{3+\sqrt5}{2}"), ("(2,1),(1,2)", "(1,2),(2,1)"),
        (r"x=\pm 3", "x=3,x=-3"), ("(0;0;6)", "(0,0,6)"), (r"\emptyset", r"\{\}"), ("1:2", "1:2"),
        ("3:30", "3:30"), ("3:30", r"3:30\text{ p.m.}"), ("1,-2,3", r"\{3,1,-2\}"),
    ],
    "matrices": [
        (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{bmatrix} 1 & 2 \\ 3 & 4 \end{bmatrix}"),
        (r"\begin{pmatrix}1/2\\-2\end{pmatrix}", r"\begin{pmatrix} 0.5 \\ -2 \\ \end{pmatrix}"),
        (r"\begin{pmatrix}x+1&0\end{pmatrix}", r"\begin{pmatrix}1+x&0\end{pmatrix}"),
        (r"\begin{pmatrix}1&2\end{pmatrix}", r"\left[\begin{array}{cc}1&2\end{array}\right]"),
    ],
    "units": [
        ("5", r"5\text{ cm}"), (r"5\text{ cm}", "5"), (r"15\mbox{ cm}^2", "15"),
        (r"15\mbox{ cm}^2", r"15\text{ square centimeters}"), (r"90^\circ", "90"), (r"90^\circ", "90°"),
        (r"90^\circ", r"90\text{ degrees}"), ("125\\text{ miles}", r"125\textnormal{ miles}"),
        (r"\$5", r"5\text{ dollars}"), (r"28\%", r"28\%"), (r"28\%", "28 percent"), ("12", "12 apples"),
        (r"6\pi\text{ inches}", r"6\pi"), (r"2\sqrt{3}\text{ units}", r"2\sqrt3"),
        (r"\frac{1}{2}\text{ hour}", "0.5"),
    ],
    "bases and text": [
        ("1011_2", "1011_{2}"), ("204_5", "(204)_5"), ("2A_{16}", "2A_{16}"), (r"12_{\text{three}}", "12_3"),
        (r"\text{Tuesday}", "Tuesday"), (r"\text{Tuesday}", r"\textbf{tuesday}"), (r"\text{(B)}", "B"),
        ("B", "(B)"), ("B", r"\textbf{(B)}\ 12"), (r"\text{E}", "E"), (r"\text{odd}", "odd"),
        (r"\text{No}", "no"), (r"\text{neither}", "neither"), (r"\infty", r"\infty"),
        (r"\text{Carla, Bo}", r"\text{Carla, Bo}"), (r"\sum_{k=1}^{n} k^2", r"\sum_{k=1}^{n}k^2"),
    ],
}

DIFFERENT: dict[str, list[tuple[str, str]]] = {
    "numbers": [
        ("73", "37"), ("1000", "100"), ("12", "-12"), ("1234", "1,235"), ("1e3", "1e4"), ("0.001", "0.0011"),
        ("1", "1.01"), ("12", "13, 12"), ("12", "12 or 13"), ("12", "x"), ("12", "12x"),
        ("12", r"\{12, 13\}"), ("12", r"\pm 12"), ("120", "6!"), ("2", "2a"), ("2", "2i"),
        ("100", r"\log 100"), ("30", r"\sin 30"), ("5", "5-x"), ("3", r"\frac{3}{x}"), ("2", r"2^x"),
        ("10", "10_2"), ("5", "f(5)"),
    ],
    "fractions": [
        (r"\frac{1}{2}", r"\frac{1}{3}"), (r"\frac{1}{2^{99}}", r"\frac{1}{2^{98}}"),
        (r"\frac{1}{1000}", r"\frac{1}{1001}"), (r"\frac{1}{2004!}", r"\frac{1}{2006!}"),
        (r"\frac{1}{3}", "0.34"), (r"1\frac{1}{2}", r"\frac{1}{2}"), (r"\frac{2}{3}", r"\frac{3}{2}"),
        (r"\frac{1}{900!}", r"\frac{1}{901!}"), (r"-\frac12", r"\frac12"), (r"\frac{1000000}{1000001}", "1"),
    ],
    "radicals and constants": [
        ("4", r"4\sqrt{2}"), (r"4\sqrt2", "4"), (r"1-\frac{1}{e}", r"1+\frac{1}{e}"),
        (r"\sqrt{2}", r"\sqrt{3}"), (r"2\pi", "2"), (r"\pi", "3.14"), (r"\pi", "3.141590"),
        (r"\sqrt{2}", "1.41"), ("2", r"\frac{1+\sqrt5}{2}"), (r"e^{\pi\sqrt{163}}", "262537412640768744"),
        (r"e^{-1000}", "0"), (r"e^{-1000}", "e^{-1001}"), (r"\sqrt{2}+\sqrt{3}", r"\sqrt{5}"),
        (r"\sqrt[3]{2}", r"\sqrt{2}"), (r"\log_2 5", r"\log_5 2"), (r"\frac{\pi}{4}", r"\frac{\pi}{3}"),
        (r"2^{100}\pi", r"(2^{100}+1)\pi"),
    ],
    "complex numbers": [("3+4i", "3-4i"), ("i", "-i"), ("1", "i"), (r"\sqrt{3}", r"i\sqrt{3}")],
    "expressions": [
        ("2x+3", "2x-3"), ("x^2+x", "x(x-1)"), ("x+2n+1", "x+1"), ("(a+5)(b+2)", "5(b+2)"), ("x", "y"),
        ("x", "|x|"), ("x", r"\sqrt{x^2}"), ("x^2", "2x"), ("2^{n}", "n^2"), (r"\sin x", r"\cos x"),
        ("f(x)", "f(y)"), (r"I(0)e^{-t}", "0"), ("f(0)", "g(0)"), ("f(1)", "f"), ("x_1", "x_2"),
        ("(x-1)^2", "x^2-1"), ("x", r"x+10^{-30}"), (r"\frac{x}{2}", r"\frac{2}{x}"), ("a", "A"),
        ("n!", "(n+1)!"), ("x", "1"), (r"(-1)^n", r"(-1)^{n+1}"),
    ],
    "equations": [
        ("y=2x+3", "y=2x-3"), ("x+y=1", "x-y=1"), ("x^2=1", "x=1"), ("7=11a+c", "11a+c"), ("2x+z=1", "1"),
        ("x=5", "y=5"), ("x=5", "6"), ("x=5", r"x\ne 5"), ("2x+4y=6", "x+2y=4"), ("x=1,y=2", "x=2,y=1"),
        ("x=1,y=2", "2,1"), ("12", "11=12"), ("12", "3*5=12"), ("a^2+b=0", "0"), ("a=b", "c=d"),
        ("0", "x-y=0"), ("I(0)", "y+rz=0"),
    ],
    "intervals and inequalities": [
        ("[0,1)", "(0,1)"), ("[0,1)", "[0,1]"), ("(0,1)", "(0,2)"), ("x<1", "x>1"), ("x<1", r"x\le 1"),
        ("x>5", "y>5"), ("y>2x", "y<2x"), (r"(1,2)\cup(2,3)", "(1,3)"), (r"(-\infty,2)", r"(2,\infty)"),
        (r"[1,2]\cup[3,4]", "[1,4]"), ("[0,1)", "1"), (r"[0,\infty)", r"(0,\infty)"), (r"x\ne 2", "x=2"),
        (r"\mathbb{R}", r"(0,\infty)"),
    ],
    "lists, sets, points": [
        ("(1,2)", "(2,1)"), ("1,2", "1,2,3"), ("1,2,3", "1,2"), (r"\{1,2\}", r"\{1,3\}"),
        (r"\pm 2021", "2021"), (r"1\pm\sqrt2", r"1+\sqrt2"), ("(1,2)", "[1,2]"), ("1:2", "2:1"),
        ("3:30", "3"), ("12:00", "1:00"), (r"3:30\text{ p.m.}", r"3:30\text{ a.m.}"), ("(1,2,3)", "(1,2)"),
        ("19,46,82", "21,36,82"), (r"\emptyset", "0"), ("(1,2)", "1.5"),
    ],
    "matrices": [
        (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{pmatrix}1&2\\3&5\end{pmatrix}"),
        (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{pmatrix}1&3\\2&4\end{pmatrix}"),
        (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}1&2\end{pmatrix}"),
        (r"\begin{pmatrix}1&2\end{pmatrix}", "3"),
    ],
    "units": [
        (r"5\text{ cm}", r"5\text{ m}"), (r"5\text{ cm}", "6"), (r"10\%", "0.1"), (r"10\%", "11\\%"),
        (r"\$5", r"5\text{ cents}"), ("2a", "2"), (r"5\text{ cm}", r"5\text{ cm}^2"),
    ],
    "bases and text": [
        ("1011_2", "1011_3"), ("204_5", "205_5"), (r"\text{Tuesday}", r"\text{Monday}"), ("B", "C"),
        ("B", r"\textbf{(C)}\ 12"), (r"\text{odd}", r"\text{even}"), (r"\infty", r"-\infty"),
        (r"\text{Tuesday}", "2"), (r"\text{no}", r"\text{yes}"), ("B", "A or B"), ("B", "(A) or (B)"),
        (r"\sum_{k=0}^{n-1} F_k", r"\sum_{k=0}^{n-2} F_k"),
    ],
}

DECIDED: list[tuple[str, str, bool]] = [
    ("10", r"10\%", False), (r"10\%", "10", False), ("0.1", r"10\%", False), ("12", "3*4", False),
    ("12", "12-0", False), ("(12,5)", "(3*4,5)", False), ("4", r"\sqrt{16}", True),
    (r"\frac13", "0.333", True), (r"\frac13", "0.33", False), (r"\sqrt2", "1.41421", True),
    (r"\sqrt2", "1.4142", False), ("11", "1011_2", False), ("1011_2", "1011", False),
    ("1011_2", "11", False), ("1:2", "2:4", False), ("1:2", r"\frac12", False), ("(1,3)", r"\{1,3\}", False),
    ("1,3", "(1,3)", False), (r"\begin{pmatrix}1\\2\end{pmatrix}", "(1,2)", False), ("5", r"\{5\}", False),
    ("y=2x+3", "2x+3", True), ("12 apples", "12 oranges", True), ("1,1,2", "1,2", True),
    ("12", "1 2", False), ("x=11", "x=5+5+1=7=11", False), (r"x^2/x", "x", True), ("A", "a", False),
]

OBSERVED: list[tuple[str, str, bool]] = [
    ("$-5$", "-5", True), ("7425000", "7,425,000", True), ("1000", "1000.0", True),
    ("$[0,9)$", "[0,1)", False), ("$1$", "-[0,1)", False), ("$1/3$", r"\frac13", True),
    ("$1$", r"\frac3{3}", True), ("$\\sqrt{3}$", r"\sqrt3", True),
    ("$1/3$", r"\frac{1}{3} \text{meters}", True), ("$0.28$", "28", False), ("$28/100$", "28", False),
    ("$(3, \\frac{\\pi}{2})$", r"\left( 3, \frac{\pi}{2} \right)", True),
    ("$f(2) < f(1) < f(4)$", "f(2) < f(1) < f(4)", True), ("$x < 3$", r"x \lt 3", True),
    ("$x != 3$", r"x \neq 3", True), ("$x > 5$", "x < 5", False), ("$a +3z = 0$", "0", False),
    ("$2x + z = 1$", "1", False), ("$k=1$", "1", True),
    ("$2x+4y-3=0$", r"y=-\frac{1}{2}x+\frac{3}{4}", True),
    ("$x^2/4 + y^2/3 = 1$", "x^2/16 + y^2/12 = 1/4", True), ("$(1,\\frac{9}{2})$", "(1,4.5)", True),
    ("$(a+5)(b+2)$", "(+5)(b+2)", False),
    (r"$\frac{\sqrt{\sqrt{11}+\sqrt{194}}}{15+2\sqrt{33}}$",
     r"\frac{\sqrt{\sqrt{11}+\sqrt{194}}}{2\sqrt{33}+15}", True),
    ("$4$", r"\frac{34}{16}+\frac{\sqrt{1358}}{16}", False), ("$1\\sqrt{19}$", "1", False),
    (r"$V_{1}:V_{2}=11:21$", "11:21", True), ("$-12;-11;-10$", r"\{-12, -11, -10\}", True),
    ("$AB=4,CD=5$", "4, 5", True), (r"$S_{MBCN}:S=7:32$", "7:32", True),
    (r"$\frac{NO}{BO}=\frac{1}{\sqrt{6}}$", r"\frac{1}{\sqrt{6}}", True),
    (r"$p=-1,p=\frac{15}{8}$", r"p = -1 \text{ and } p = \dfrac{15}{8}", True), (r"$d$", r"\text{E}", False),
    ("$a=4,\\,-8,\\,-10$", "-10,-8,4", True),
    (r"$a_3 = 2, a_{37} = 19$", r"a_{37} = 19, \quad a_3 = 2", True),
    (r"$(5, 8), (8, 5)$", r"(x, y) = (5, 8) \quad \text{and} \quad (8, 5)", True),
    (r"$k \ge 2$", r"k \ge 2", True), ("$-793 < a < 10$", "(-793, 10)", True),
    (r"$x = \frac{1}{2}, x = \frac{-1 \pm \sqrt{13}}{4}$",
     r"x = \frac{1}{2}, x = \frac{-1 \pm \sqrt{13}}{4}", True),
    (r"$|AB|=1$", "1", True), ("$0.06 \\text{ yuan}$", r"0.06 \text{ yuan}", True),
    ("$D = (0, 1)$", "D = (0, 1.5)", False), (r"$19, 46, and 82$", r"19, 46, \text{ and } 82", True),
    (r"$n=2, 3, 4$", "n=1, 2, 3", False), (r"$34x+45y-20z+100=0$", "-34x-45y+20z-100=0", True),
    (r"$(7,6)$", "(7, 6)", True),
]
