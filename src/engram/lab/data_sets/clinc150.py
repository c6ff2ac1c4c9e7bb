"""CLINC150: what people ask an assistant, 150 intents and queries out of scope (Larson et al. 2019, CC BY 3.0)."""

from __future__ import annotations

import json
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engram.learner import DamagedError
from engram.locations import locate

FILE = "data_full.json"
HOW = f"put {FILE} from https://github.com/clinc/oos-eval/tree/master/data into a folder named 'clinc150'"
SIZES = {"train": 15_000, "val": 3_000, "test": 4_500, "oos_train": 100, "oos_val": 100, "oos_test": 1_000}

DOMAINS: dict[str, tuple[str, ...]] = {
    domain: tuple(intents.split())
    for domain, intents in {
        "banking":
            "transfer transactions balance freeze_account pay_bill bill_balance bill_due interest_rate routing "
            "min_payment order_checks pin_change report_fraud account_blocked spending_history",
        "credit cards":
            "credit_score report_lost_card credit_limit rewards_balance new_card application_status card_declined "
            "international_fees apr redeem_rewards credit_limit_change damaged_card replacement_card_duration "
            "improve_credit_score expiration_date",
        "kitchen and dining":
            "recipe restaurant_reviews calories nutrition_info restaurant_suggestion ingredients_list "
            "ingredient_substitution cook_time food_last meal_suggestion restaurant_reservation "
            "confirm_reservation how_busy cancel_reservation accept_reservations",
        "home":
            "shopping_list shopping_list_update next_song play_music update_playlist todo_list todo_list_update "
            "calendar calendar_update what_song order order_status reminder reminder_update smart_home",
        "auto and commute":
            "traffic directions gas gas_type distance current_location mpg oil_change_when oil_change_how "
            "jump_start uber schedule_maintenance last_maintenance tire_pressure tire_change",
        "travel":
            "book_flight book_hotel car_rental travel_suggestion travel_alert travel_notification carry_on "
            "timezone vaccines translate flight_status international_visa lost_luggage plug_type exchange_rate",
        "utility":
            "time alarm share_location find_phone weather text spelling make_call timer date calculator "
            "measurement_conversion flip_coin roll_dice definition",
        "work":
            "direct_deposit pto_request taxes payday w2 pto_balance pto_request_status next_holiday insurance "
            "insurance_change schedule_meeting pto_used meeting_schedule rollover_401k income",
        "small talk":
            "greeting goodbye tell_joke where_are_you_from how_old_are_you what_is_your_name who_made_you "
            "thank_you what_can_i_ask_you what_are_your_hobbies do_you_have_pets are_you_a_bot meaning_of_life "
            "who_do_you_work_for fun_fact",
        "meta":
            "change_ai_name change_user_name cancel user_name reset_settings whisper_mode repeat no yes maybe "
            "change_language change_accent change_volume change_speed sync_device",
    }.items()
}
"""The ten domains of the data set's authors, and the fifteen intents of each."""


class Queries(NamedTuple):
    """Texts and the intent of each."""

    texts: tuple[str, ...]
    intents: tuple[str, ...]


class Clinc150(NamedTuple):
    """Queries in the published order.

    Attributes:
        train, val, test: 100, 20 and 30 queries of each of 150 intents.
        outside_train, outside_val, outside_test: 100, 100 and 1,000 queries that belong to none.
    """

    train: Queries
    val: Queries
    test: Queries
    outside_train: tuple[str, ...]
    outside_val: tuple[str, ...]
    outside_test: tuple[str, ...]


def clinc150() -> Clinc150:
    """The whole data set.

    Raises:
        MissingDataError: not on this computer; says how to get it.
        DamagedError: the file is truncated or another one.
    """
    path = locate("clinc150", FILE, how=HOW) / FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        parts = {part: [(str(text), str(intent)) for text, intent in content[part]] for part in SIZES}
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedError(f"{path} is not CLINC150's {FILE}: download it again.") from error
    if any(len(parts[part]) != size for part, size in SIZES.items()):
        raise DamagedError(f"{path} is incomplete: download it again.")
    train, val, test = (_queries(parts[part]) for part in ("train", "val", "test"))
    outside = (_queries(parts[f"oos_{part}"]).texts for part in ("train", "val", "test"))
    return Clinc150(train, val, test, *outside)


def _queries(pairs: list[tuple[str, str]]) -> Queries:
    return Queries(tuple(text for text, _ in pairs), tuple(intent for _, intent in pairs))


Strings = npt.NDArray[np.str_]


class Talk(NamedTuple):
    """Intents in the order in which they come; what is taught of them, what is asked, and what is out of scope."""

    intents: list[str]
    teach: Strings
    teach_intents: Strings
    ask: Strings
    ask_intents: Strings
    outside: Strings


def draw(shots: int, seed: int, part: str = "test") -> Talk:
    """The sentences of one seed; `part` "val" is what settings are chosen on."""
    data = clinc150()
    rng = np.random.default_rng(seed)
    texts, intents = np.array(data.train.texts), np.array(data.train.intents)
    order = rng.permutation(np.unique(intents))
    places = np.concatenate([rng.permutation(np.flatnonzero(intents == intent))[:shots] for intent in order])
    asked = data.val if part == "val" else data.test
    outside = data.outside_val if part == "val" else data.outside_test
    return Talk(order.tolist(), texts[places], intents[places], np.array(asked.texts), np.array(asked.intents),
                np.array(outside))
