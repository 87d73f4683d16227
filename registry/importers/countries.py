"""Names of countries, as the measuring clients write them, and their three letters of ISO 3166."""

import re

_ISO3 = re.compile(r"[A-Z]{3}", re.ASCII)

# fmt: off
_BY_NAME = {
    "afghanistan": "AFG", "albania": "ALB", "algeria": "DZA", "american samoa": "ASM", "angola": "AGO",
    "antigua and barbuda": "ATG", "argentina": "ARG", "armenia": "ARM", "aruba": "ABW", "australia": "AUS",
    "austria": "AUT", "azerbaijan": "AZE", "bahamas": "BHS", "bahrain": "BHR", "bangladesh": "BGD", "barbados": "BRB",
    "belarus": "BLR", "belgium": "BEL", "belize": "BLZ", "benin": "BEN", "bermuda": "BMU", "bhutan": "BTN",
    "bolivia": "BOL", "bosnia and herzegovina": "BIH", "botswana": "BWA", "brazil": "BRA",
    "british virgin islands": "VGB", "brunei": "BRN", "bulgaria": "BGR", "burkina faso": "BFA", "burundi": "BDI",
    "cambodia": "KHM", "cameroon": "CMR", "canada": "CAN", "cape verde": "CPV", "cayman islands": "CYM",
    "central african republic": "CAF", "chad": "TCD", "chile": "CHL", "china": "CHN", "colombia": "COL",
    "comoros": "COM", "congo": "COG", "cook islands": "COK", "costa rica": "CRI", "cote d'ivoire": "CIV",
    "croatia": "HRV", "cuba": "CUB", "cyprus": "CYP", "czech republic": "CZE", "czechia": "CZE",
    "democratic republic of congo": "COD", "denmark": "DNK", "djibouti": "DJI", "dominica": "DMA",
    "dominican republic": "DOM", "east timor": "TLS", "ecuador": "ECU", "egypt": "EGY", "el salvador": "SLV",
    "equatorial guinea": "GNQ", "eritrea": "ERI", "estonia": "EST", "eswatini": "SWZ", "ethiopia": "ETH",
    "falkland islands": "FLK", "faroe islands": "FRO", "fiji": "FJI", "finland": "FIN", "france": "FRA",
    "french guiana": "GUF", "french polynesia": "PYF", "gabon": "GAB", "gambia": "GMB", "georgia": "GEO",
    "germany": "DEU", "ghana": "GHA", "gibraltar": "GIB", "great britain": "GBR", "greece": "GRC", "greenland": "GRL",
    "grenada": "GRD", "guadeloupe": "GLP", "guam": "GUM", "guatemala": "GTM", "guinea": "GIN", "guinea-bissau": "GNB",
    "guyana": "GUY", "haiti": "HTI", "honduras": "HND", "hong kong": "HKG", "hungary": "HUN", "iceland": "ISL",
    "india": "IND", "indonesia": "IDN", "iran": "IRN", "iran, islamic republic of": "IRN", "iraq": "IRQ",
    "ireland": "IRL", "israel": "ISR", "italy": "ITA", "jamaica": "JAM", "japan": "JPN", "jordan": "JOR",
    "kazakhstan": "KAZ", "kenya": "KEN", "kiribati": "KIR", "korea, republic of": "KOR", "kuwait": "KWT",
    "kyrgyzstan": "KGZ", "laos": "LAO", "latvia": "LVA", "lebanon": "LBN", "lesotho": "LSO", "liberia": "LBR",
    "libya": "LBY", "lithuania": "LTU", "luxembourg": "LUX", "macao": "MAC", "madagascar": "MDG", "malawi": "MWI",
    "malaysia": "MYS", "maldives": "MDV", "mali": "MLI", "malta": "MLT", "martinique": "MTQ", "mauritania": "MRT",
    "mauritius": "MUS", "mexico": "MEX", "moldova": "MDA", "mongolia": "MNG", "montenegro": "MNE",
    "montserrat": "MSR", "morocco": "MAR", "mozambique": "MOZ", "myanmar": "MMR", "namibia": "NAM", "nauru": "NRU",
    "nepal": "NPL", "netherlands": "NLD", "new caledonia": "NCL", "new zealand": "NZL", "nicaragua": "NIC",
    "niger": "NER", "nigeria": "NGA", "north korea": "PRK", "north macedonia": "MKD", "norway": "NOR", "oman": "OMN",
    "pakistan": "PAK", "palestine": "PSE", "panama": "PAN", "papua new guinea": "PNG", "paraguay": "PRY",
    "peru": "PER", "philippines": "PHL", "poland": "POL", "portugal": "PRT", "puerto rico": "PRI", "qatar": "QAT",
    "republic of korea": "KOR", "reunion": "REU", "romania": "ROU", "russia": "RUS", "russian federation": "RUS",
    "rwanda": "RWA", "saint helena": "SHN", "saint kitts and nevis": "KNA", "saint lucia": "LCA",
    "saint pierre and miquelon": "SPM", "saint vincent and the grenadines": "VCT", "samoa": "WSM",
    "sao tome and principe": "STP", "saudi arabia": "SAU", "senegal": "SEN", "serbia": "SRB", "seychelles": "SYC",
    "sierra leone": "SLE", "singapore": "SGP", "slovakia": "SVK", "slovenia": "SVN", "solomon islands": "SLB",
    "somalia": "SOM", "south africa": "ZAF", "south korea": "KOR", "south sudan": "SSD", "spain": "ESP",
    "sri lanka": "LKA", "sudan": "SDN", "suriname": "SUR", "sweden": "SWE", "switzerland": "CHE", "syria": "SYR",
    "taiwan": "TWN", "taiwan, province of china": "TWN", "tajikistan": "TJK", "tanzania": "TZA", "thailand": "THA",
    "the netherlands": "NLD", "togo": "TGO", "tonga": "TON", "trinidad and tobago": "TTO", "tunisia": "TUN",
    "turkey": "TUR", "turkmenistan": "TKM", "turks and caicos islands": "TCA", "türkiye": "TUR", "uganda": "UGA",
    "uk": "GBR", "ukraine": "UKR", "united arab emirates": "ARE", "united kingdom": "GBR", "united states": "USA",
    "united states of america": "USA", "united states virgin islands": "VIR", "uruguay": "URY", "usa": "USA",
    "uzbekistan": "UZB", "vanuatu": "VUT", "venezuela": "VEN", "viet nam": "VNM", "vietnam": "VNM",
    "western sahara": "ESH", "yemen": "YEM", "zambia": "ZMB", "zimbabwe": "ZWE",
}
# fmt: on
_CODES = frozenset(_BY_NAME.values())


def country_iso3(text: str) -> str:
    """Return the three letters of a country by its English name or its letters; nothing where it is not known."""
    written = text.strip()
    if _ISO3.fullmatch(written) and written in _CODES:
        return written
    return _BY_NAME.get(written.casefold(), "")
