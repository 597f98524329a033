"""Reads a condition.

    condition   and ("or" and)*
    and         not ("and" not)*
    not         "not" not | comparison
    comparison  sum (("<" | "<=" | ">" | ">=" | "==" | "!=") sum)*
    sum         product (("+" | "-") product)*
    product     sign (("*" | "/") sign)*
    sign        "-" sign | atom
    atom        number | metric | function "(" ... ")" | "(" condition ")"

A chain of comparisons is true where each of its neighbours compares: `0.5 < m < 2` is `0.5 < m and m < 2`.
Nothing here is ever run: text becomes nodes, or an error with its place.
"""

from collections.abc import Callable

from rolloutwatch_contract.conditions.errors import ConditionError
from rolloutwatch_contract.conditions.functions import FUNCTIONS, Function, Literally
from rolloutwatch_contract.conditions.lexer import JOINS, Token, is_bare, nearest, tokens_of, wrong
from rolloutwatch_contract.conditions.nodes import (
    Absent,
    And,
    Arithmetic,
    Comparison,
    Condition,
    Metric,
    Negative,
    Node,
    Not,
    Number,
    Or,
    Share,
    Silent,
)
from rolloutwatch_contract.conditions.walks import is_condition, metrics_of, walk

MOST_LETTERS = 1000
MOST_NESTED = 32
MOST_NODES = 200

_COMPARES = ("<", "<=", ">", ">=", "==", "!=")

Refuse = Callable[[str], "tuple[str, str] | None"]


def parse(text: str, refuse: "Refuse | None" = None) -> Condition:
    """Return what a text says; ConditionError with the place of what is wrong.

    Args:
        text: The condition.
        refuse: Tells of the name of a metric what was expected instead, and a hint; None if the name may be used.
    """
    if len(text) > MOST_LETTERS:
        raise ConditionError(
            f"expected at most {MOST_LETTERS} letters, got {len(text)}. Make two rules of it.",
            position=MOST_LETTERS + 1,
            length=len(text) - MOST_LETTERS,
            expected=f"at most {MOST_LETTERS} letters",
            came=f"{len(text)} letters",
        )
    node = _Parser(text, refuse).whole()
    whole = Token("sign", text, 1)
    nodes = sum(1 for _ in walk(node))
    if nodes > MOST_NODES:
        raise wrong(whole, f"at most {MOST_NODES} numbers, metrics and operators, not {nodes}")
    if not isinstance(node, Silent) and not metrics_of(node):
        raise wrong(whole, "at least one metric")
    return Condition(text=text, node=node)


class _Parser:
    """One reading of one text."""

    def __init__(self, text: str, refuse: "Refuse | None") -> None:
        self._text = text
        self._tokens = list(tokens_of(text))
        self._at = 0
        self._depth = 0
        self._refuse = refuse

    def whole(self) -> Node:
        """Return the condition that all words together are."""
        begin = self._next
        node = self._or()
        if self._next.kind != "end":
            hint = nearest(self._next.text.lower(), ["and", "or"]) if self._next.kind == "name" else ""
            raise wrong(self._next, 'an operator, "and", "or" or the end', hint)
        self._check_condition(node, begin)
        silent = next((one for one in self._tokens if one.text == "silent"), None)
        if silent is not None and not isinstance(node, Silent):
            raise wrong(silent, "silent(...) alone, because the clock judges it and steps judge the rest")
        return node

    # What is a condition and what a number is known only once it is read, so each reader says which it was.

    def _condition(self, read: "Callable[[], Node]") -> Node:
        begin = self._next
        node = read()
        self._check_condition(node, begin)
        return node

    def _number(self, read: "Callable[[], Node]") -> Node:
        begin = self._next
        node = read()
        self._check_number(node, begin)
        return node

    def _check_condition(self, node: Node, begin: Token) -> None:
        if not is_condition(node):
            raise wrong(self._since(begin), "a condition: a number compared with another, as in kl > 0.1")

    def _check_number(self, node: Node, begin: Token) -> None:
        if is_condition(node):
            raise wrong(self._since(begin), "a number, not a condition")

    def _or(self) -> Node:
        return self._joined("or", self._and, Or)

    def _and(self) -> Node:
        return self._joined("and", self._not, And)

    def _joined(
        self, word: str, read: "Callable[[], Node]", joined: "Callable[[tuple[Node, ...]], Node]"
    ) -> Node:
        begin = self._next
        operands = [read()]
        while self._next.kind == "name" and self._next.text == word:
            if len(operands) == 1:
                self._check_condition(operands[0], begin)
            self._take()
            operands.append(self._condition(read))
        return operands[0] if len(operands) == 1 else joined(tuple(operands))

    def _not(self) -> Node:
        taken = self._took("not")
        if taken is None:
            return self._comparison()
        return Not(self._nested(taken, lambda: self._condition(self._not)))

    def _comparison(self) -> Node:
        begin = self._next
        left = self._sum()
        compared: list[Node] = []
        while self._next.text in _COMPARES:
            self._check_number(left, begin)
            operator = self._take()
            right = self._number(self._sum)
            compared.append(Comparison(operator.text, left, right))  # type: ignore[arg-type]  # one of _COMPARES
            left = right
        if len(compared) > 1:
            return And(tuple(compared))
        return compared[0] if compared else left

    def _sum(self) -> Node:
        return self._arithmetic(("+", "-"), self._product)

    def _product(self) -> Node:
        return self._arithmetic(("*", "/"), self._sign)

    def _arithmetic(self, operators: "tuple[str, str]", read: "Callable[[], Node]") -> Node:
        begin = self._next
        left = read()
        while self._next.text in operators:
            self._check_number(left, begin)
            operator = self._take()
            left = Arithmetic(operator.text, left, self._number(read))  # type: ignore[arg-type]  # one of these
        return left

    def _sign(self) -> Node:
        taken = self._took("-")
        if taken is None:
            return self._atom()
        operand = self._nested(taken, lambda: self._number(self._sign))
        return Number(-operand.value) if isinstance(operand, Number) else Negative(operand)

    def _atom(self) -> Node:
        token = self._next
        if token.kind == "number":
            self._take()
            return Number(float(token.text))
        if token.text == "(":
            return self._nested(self._take(), self._parenthesis)
        if token.kind == "name" and self._tokens[self._at + 1].text == "(" and token.text not in JOINS:
            return self._nested(self._take(), lambda: self._call(token))
        return Metric(self._metric("a number, a metric, a function or a parenthesis"))

    def _parenthesis(self) -> Node:
        node = self._or()
        self._close("a parenthesis")
        return node

    def _call(self, called: Token) -> Node:
        function = FUNCTIONS.get(called.text)
        if function is None:
            hint = nearest(called.text, list(FUNCTIONS)) or f" There are {', '.join(FUNCTIONS)}."
            raise wrong(called, "the name of a function", hint)
        self._take()  # the parenthesis, which was seen
        node = function.make(*(self._argument(function, place) for place in range(len(function.arguments))))
        self._close(function.usage)
        return node

    def _argument(self, function: Function, place: int) -> object:
        argument = function.arguments[place]
        if isinstance(argument, Literally) and argument.otherwise is not None and self._next.text == ")":
            return argument.otherwise
        if place and not self._took(","):
            raise wrong(self._next, f'"," in {function.usage}')
        if isinstance(argument, Literally):
            return self._literally(argument, function)
        if argument == "metric":
            return self._metric(f"the name of a metric in {function.usage}")
        return self._shared() if argument == "condition" else self._number(self._sum)

    def _literally(self, argument: Literally, function: Function) -> float:
        token = self._next
        sound = token.kind == "number" and argument.lowest <= float(token.text) <= argument.highest
        if not sound or (argument.is_whole and not token.text.isdecimal()):
            raise wrong(token, f"{argument.expected}, in {function.usage}")
        self._take()
        return int(token.text) if argument.is_whole else float(token.text)

    def _shared(self) -> Node:
        begin = self._next
        node = self._condition(self._or)
        if any(isinstance(one, Share | Absent) for one in walk(node)):
            raise wrong(self._since(begin), "a condition without share(...) and absent(...)")
        return node

    def _metric(self, expected: str) -> str:
        token = self._next
        if token.kind not in ("name", "quoted"):
            raise wrong(token, expected)
        if token.kind == "name" and not is_bare(token.text):
            raise wrong(token, expected, f" A metric of that name stands in backquotes: `{token.text}`.")
        refused = self._refuse(token.name) if self._refuse else None
        if refused is not None:
            raise wrong(token, *refused)
        self._take()
        return token.name

    def _close(self, what: str) -> None:
        if not self._took(")"):
            raise wrong(self._next, f'")" at the end of {what}')

    def _nested(self, token: Token, read: "Callable[[], Node]") -> Node:
        self._depth += 1
        if self._depth > MOST_NESTED:
            raise wrong(token, f"at most {MOST_NESTED} levels of parentheses, functions, signs and not")
        node = read()
        self._depth -= 1
        return node

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._next
        self._at += 1
        return token

    def _took(self, *texts: str) -> "Token | None":
        return self._take() if self._next.kind in ("name", "sign") and self._next.text in texts else None

    def _since(self, begin: Token) -> Token:
        """Return all words from one to the last that was taken, as one, with what is between them."""
        last = self._tokens[self._at - 1]
        return Token(
            "sign", self._text[begin.position - 1 : last.position - 1 + len(last.text)], begin.position
        )
