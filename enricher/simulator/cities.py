"""Cities by the range of their CEPs: the large ones, so that each area code has one."""

from typing import Final, NamedTuple


class State(NamedTuple):
    """A state; the position is its capital's, in degrees."""

    name: str
    latitude: float
    longitude: float


class City(NamedTuple):
    """A city; `first` is the number its CEPs' first five digits start from."""

    first: int
    name: str
    uf: str
    ibge: str
    ddd: str

    @property
    def siafi(self) -> str:
        """Four digits of the treasury's list. Invented: no two providers have to agree on it."""
        return self.ibge[2:6]


STATES: Final = {
    "AC": State("Acre", -9.9747, -67.8100),
    "AL": State("Alagoas", -9.6658, -35.7353),
    "AM": State("Amazonas", -3.1019, -60.0250),
    "AP": State("Amapá", 0.0349, -51.0694),
    "BA": State("Bahia", -12.9711, -38.5108),
    "CE": State("Ceará", -3.7172, -38.5431),
    "DF": State("Distrito Federal", -15.7797, -47.9297),
    "ES": State("Espírito Santo", -20.3155, -40.3128),
    "GO": State("Goiás", -16.6786, -49.2539),
    "MA": State("Maranhão", -2.5297, -44.3028),
    "MG": State("Minas Gerais", -19.9208, -43.9378),
    "MS": State("Mato Grosso do Sul", -20.4428, -54.6464),
    "MT": State("Mato Grosso", -15.5989, -56.0949),
    "PA": State("Pará", -1.4558, -48.5044),
    "PB": State("Paraíba", -7.1150, -34.8631),
    "PE": State("Pernambuco", -8.0539, -34.8811),
    "PI": State("Piauí", -5.0892, -42.8019),
    "PR": State("Paraná", -25.4278, -49.2731),
    "RJ": State("Rio de Janeiro", -22.9028, -43.2075),
    "RN": State("Rio Grande do Norte", -5.7950, -35.2094),
    "RO": State("Rondônia", -8.7619, -63.9039),
    "RR": State("Roraima", 2.8197, -60.6733),
    "RS": State("Rio Grande do Sul", -30.0331, -51.2300),
    "SC": State("Santa Catarina", -27.5967, -48.5492),
    "SE": State("Sergipe", -10.9111, -37.0717),
    "SP": State("São Paulo", -23.5475, -46.6361),
    "TO": State("Tocantins", -10.2128, -48.3603),
}

REGIONS: Final = {"1": "Norte", "2": "Nordeste", "3": "Sudeste", "4": "Sul", "5": "Centro-Oeste"}

_TABLE: Final = """
01000 São Paulo SP 3550308 11
06000 Osasco SP 3534401 11
07000 Guarulhos SP 3518800 11
08000 São Paulo SP 3550308 11
08600 Suzano SP 3552502 11
09000 Santo André SP 3547809 11
11000 Santos SP 3548500 13
12200 São José dos Campos SP 3549904 12
13000 Campinas SP 3509502 19
14000 Ribeirão Preto SP 3543402 16
15000 São José do Rio Preto SP 3549805 17
16000 Araçatuba SP 3502804 18
17000 Bauru SP 3506003 14
18000 Sorocaba SP 3552205 15
19000 Presidente Prudente SP 3541406 18
20000 Rio de Janeiro RJ 3304557 21
24000 Niterói RJ 3303302 21
25000 Duque de Caxias RJ 3301702 21
27200 Volta Redonda RJ 3306305 24
28000 Campos dos Goytacazes RJ 3301009 22
29000 Vitória ES 3205309 27
29100 Vila Velha ES 3205200 27
29300 Cachoeiro de Itapemirim ES 3201209 28
30000 Belo Horizonte MG 3106200 31
32000 Contagem MG 3118601 31
35000 Governador Valadares MG 3127701 33
35500 Divinópolis MG 3122306 37
36000 Juiz de Fora MG 3136702 32
37000 Varginha MG 3170701 35
38000 Uberaba MG 3170107 34
38400 Uberlândia MG 3170206 34
39400 Montes Claros MG 3143302 38
40000 Salvador BA 2927408 71
44000 Feira de Santana BA 2910800 75
45000 Vitória da Conquista BA 2933307 77
45650 Ilhéus BA 2913606 73
48900 Juazeiro BA 2918407 74
49000 Aracaju SE 2800308 79
50000 Recife PE 2611606 81
53000 Olinda PE 2609600 81
55000 Caruaru PE 2604106 81
56300 Petrolina PE 2611101 87
57000 Maceió AL 2704302 82
58000 João Pessoa PB 2507507 83
58400 Campina Grande PB 2504009 83
59000 Natal RN 2408102 84
60000 Fortaleza CE 2304400 85
61600 Caucaia CE 2303709 85
63000 Juazeiro do Norte CE 2307304 88
64000 Teresina PI 2211001 86
64600 Picos PI 2208007 89
65000 São Luís MA 2111300 98
65900 Imperatriz MA 2105302 99
66000 Belém PA 1501402 91
68000 Santarém PA 1506807 93
68500 Marabá PA 1504208 94
68900 Macapá AP 1600303 96
69000 Manaus AM 1302603 92
69300 Boa Vista RR 1400100 95
69400 Manacapuru AM 1302504 92
69550 Tefé AM 1304203 97
69900 Rio Branco AC 1200401 68
70000 Brasília DF 5300108 61
72800 Luziânia GO 5212501 61
73000 Brasília DF 5300108 61
74000 Goiânia GO 5208707 62
75000 Anápolis GO 5201108 62
75900 Rio Verde GO 5218805 64
76800 Porto Velho RO 1100205 69
77000 Palmas TO 1721000 63
78000 Cuiabá MT 5103403 65
78700 Rondonópolis MT 5107602 66
79000 Campo Grande MS 5002704 67
79800 Dourados MS 5003702 67
80000 Curitiba PR 4106902 41
83000 São José dos Pinhais PR 4125506 41
84000 Ponta Grossa PR 4119905 42
85500 Pato Branco PR 4118501 46
85800 Cascavel PR 4104808 45
86000 Londrina PR 4113700 43
87000 Maringá PR 4115200 44
88000 Florianópolis SC 4205407 48
88300 Itajaí SC 4208203 47
89000 Blumenau SC 4202404 47
89200 Joinville SC 4209102 47
89800 Chapecó SC 4204202 49
90000 Porto Alegre RS 4314902 51
92000 Canoas RS 4304606 51
95000 Caxias do Sul RS 4305108 54
96000 Pelotas RS 4314407 53
97000 Santa Maria RS 4316907 55
99000 Passo Fundo RS 4314100 54
"""


def _city(line: str) -> City:
    first, *name, uf, ibge, ddd = line.split()
    return City(int(first), " ".join(name), uf, ibge, ddd)


CITIES: Final = tuple(_city(line) for line in _TABLE.split("\n") if line)
