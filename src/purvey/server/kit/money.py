"""Currencies (ISO 4217) and how amounts in their minor units are written."""

from types import MappingProxyType

_BY_EXPONENT = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CNY COP COU"
    " CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES"
    " KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR"
    " NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP"
    " TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}

EXPONENTS = MappingProxyType({code: exponent for exponent, codes in _BY_EXPONENT.items() for code in codes.split()})
"""How many decimal places each active currency has: 100 minor units of USD (2) are one dollar, 1 of JPY (0) is one yen."""


def check_currency(code: str) -> str:
    """Return the code in upper case; raise ValueError with a sentence if it is no active currency of ISO 4217."""
    upper = code.upper()
    if upper not in EXPONENTS:
        raise ValueError("must be a currency code of ISO 4217, such as USD, EUR or JPY")
    return upper


def exponent(code: str) -> int:
    """Return the number of decimal places of the currency `code`; raise KeyError for one that is not active."""
    return EXPONENTS[code]


def decimal(amount: int, code: str, *, least: int = 0) -> str:
    """Return `amount` minor units as a decimal string, such as 29.99, with at least `least` decimal places."""
    places = exponent(code)
    whole, part = divmod(abs(amount), 10**places)
    fraction = f"{part:0{places}d}" if places else ""
    fraction = fraction.ljust(least, "0")
    return f"{'-' if amount < 0 else ''}{whole}{'.' if fraction else ''}{fraction}"


SYMBOLS = MappingProxyType({"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥"})
"""Signs that everybody reads as one currency; the others are written as their code."""


def display(amount: int, code: str) -> str:
    """Return `amount` minor units for people: $29.99, 29.99 CHF."""
    if code in SYMBOLS:
        return f"{'-' if amount < 0 else ''}{SYMBOLS[code]}{decimal(abs(amount), code)}"
    return f"{decimal(amount, code)} {code}"
