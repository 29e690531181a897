"""Stated accuracy: the largest error, in units in the last place, of each approximated function.

Holds for every argument, subnormal results included, for compiled code on a machine with fused
multiply-add: float32 measured on every 17th float, float64 on samples against exact values.
Functions that are not listed round correctly or are exact. Without fused multiply-add add one unit.
gammaln and digamma of negative arguments have zeros between the poles; there
6 eps max(1, |value|) holds instead.
"""

ULP_BOUNDS: dict[str, dict[str, float]] = {
    name: {"float32": single, "float64": double}
    for name, single, double in (
        ("exp", 1.0, 1.0),
        ("exp2", 1.0, 1.0),
        ("expm1", 1.6, 2.0),
        ("log", 1.0, 1.0),
        ("log2", 1.1, 1.2),
        ("log10", 1.0, 1.1),
        ("log1p", 1.2, 1.5),
        ("softplus", 2.0, 2.0),
        ("sigmoid", 2.5, 2.5),
        ("sin", 1.6, 1.5),
        ("cos", 1.6, 1.5),
        ("tan", 3.5, 3.5),
        ("arcsin", 2.5, 2.5),
        ("arccos", 1.5, 1.5),
        ("arctan", 2.5, 2.5),
        ("arctan2", 3.0, 3.0),
        ("sinh", 2.0, 2.0),
        ("cosh", 1.5, 1.5),
        ("tanh", 2.0, 2.5),
        ("arcsinh", 2.0, 2.0),
        ("arccosh", 2.5, 3.0),
        ("arctanh", 2.5, 2.5),
        ("power", 0.6, 1.5),
        ("erf", 1.0, 1.1),
        ("erfc", 4.0, 4.0),
        ("gammaln", 5.0, 5.0),
        ("digamma", 5.0, 5.0),
        ("normal_from_bits_float32", 3.5, 3.5),
        ("normal_from_bits_float64", 3.5, 3.5),
    )
}
