"""Single vectors that several clients ask about at the same moment are answered by one call of the head.

Most of what one answer takes is spent on calling numpy some sixty times, for one vector as for sixteen. Only where the
head says that each is then answered to the bit as it would be alone.
"""

from __future__ import annotations

import asyncio

import numpy as np

from engram.learner import FloatArray, Predictions
from engram.server.served_brain import ServedBrain

Answer = tuple[Predictions, int]
"""Of one vector, and the sequence number of what it was answered by."""


class Gathering:
    """What is asked in one turn of the event loop, until the next."""

    def __init__(self) -> None:
        self._asked: dict[ServedBrain, list[tuple[FloatArray, asyncio.Future[Answer]]]] = {}

    async def ask(self, served: ServedBrain, vector: FloatArray) -> Answer:
        """What a brain says of a (1, D) vector, together with what others ask.

        Raises:
            InputError, Refusal: as for this vector alone; it spoils no other's answer.
        """
        loop = asyncio.get_running_loop()
        if not self._asked:
            loop.call_soon(self._answer)
        answer: asyncio.Future[Answer] = loop.create_future()
        self._asked.setdefault(served, []).append((vector, answer))
        return await answer

    def _answer(self) -> None:
        asked, self._asked = self._asked, {}
        for served, questions in asked.items():
            left = [question for question in questions if not question[1].done()]  # else whoever asked has gone
            most = served.together
            for start in range(0, len(left), most):
                _answer_together(served, left[start : start + most])


def _answer_together(served: ServedBrain, questions: list[tuple[FloatArray, asyncio.Future[Answer]]]) -> None:
    try:
        answers = served.brain.predict(np.concatenate([vector for vector, _ in questions]))
    except Exception as error:
        if len(questions) == 1:
            questions[0][1].set_exception(error)
        else:
            for question in questions:
                _answer_together(served, [question])
        return
    seq = served.seq
    served.count(asked=len(answers), refused=int(np.count_nonzero(~answers.known)))
    for place, (_, answer) in enumerate(questions):
        answer.set_result((answers[place : place + 1], seq))
