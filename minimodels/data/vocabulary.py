"""The words of the mini-world: names, and the values an attribute can take, in four languages.

Each value has one English key, by which facts, tests and choices know it, and a form per language
that fits the sentences of wordings.py: with its article where the sentence needs one
("an otter", "una nutria", "einen Otter"), bare where it does not.
"""

LANGUAGES = ("en", "zh", "es", "de")

FIRST_NAMES = {
    "f": """Mira Tessa Ilva Nora Zadie Orla Petra Junia Selma Wren Kaya Livia Dalia Runa Thea Aiko
        Brina Celia Edda Farah Greta Hilda Ines Jutta Lena Maren Nadia Paula Romy Sanna""".split(),
    "m": """Tomas Arlo Bram Davi Emil Finn Goran Hugo Ivo Jaro Kasper Levi Milo Nils Otto Pavel
        Quin Rafe Soren Timo Ugo Viktor Wim Yusuf Zeno Anton Boris Caleb Dario Edgar""".split(),
}
LAST_NAMES = """Voss Calder Brandt Osei Lindqvist Marsh Kovar Tanaka Ruiz Hallam Petrov Quist Rowe
    Sato Thorne Ulrich Varga Weller Yates Zimmer Abbott Barrow Crane Dorsey Ekman Falk Garner Holt
    Ibarra Jansen Keller Lund Moreau Novak Ortega Price Rasmus Stone Tully Unger Vance Winter Yarrow
    Zeller Ashby Bolt Cromwell Dunn Egger Frost Gale Hawke Ives Joyce Kemp Larkin Mercer North Otis
    Penn Reed Shaw Tate Usher Vale Webb York Zorn Archer Birch""".split()

CITIES = """Oakhaven Brindle Calloway Dunmore Eastmere Farrow Glimmerton Hollin Ironbridge Juniper
    Kestrel Larkspur Merrow Northgate Ostend Pinecrest Quarry Ravenna Silverton Thistle Umberly
    Vanport Willowby Yarmouth Zephyr Ashford Bellamy Copperhill Driftwood Elmstead Foxglove
    Greywater""".split()
RIVERS = "Alder Bramble Cinder Dove Ember Fen Gorse Heron".split()
REGIONS = "Northmark Southmark Eastvale Westvale Highmoor Lowfen".split()

#         key             English           Chinese   Spanish            German, man     German, woman
_PROFESSIONS = """
    dentist        | a dentist        | 牙医     | dentista     | Zahnarzt       | Zahnärztin
    artist         | an artist        | 画家     | artista      | Künstler       | Künstlerin
    journalist     | a journalist     | 记者     | periodista   | Journalist     | Journalistin
    electrician    | an electrician   | 电工     | electricista | Elektriker     | Elektrikerin
    florist        | a florist        | 花商     | florista     | Florist        | Floristin
    pilot          | a pilot          | 飞行员   | piloto       | Pilot          | Pilotin
    guide          | a guide          | 导游     | guía         | Fremdenführer  | Fremdenführerin
    poet           | a poet           | 诗人     | poeta        | Dichter        | Dichterin
    novelist       | a novelist       | 小说家   | novelista    | Romanautor     | Romanautorin
    acrobat        | an acrobat       | 杂技演员 | acróbata     | Akrobat        | Akrobatin
    cabinetmaker   | a cabinetmaker   | 木匠     | ebanista     | Möbeltischler  | Möbeltischlerin
    economist      | an economist     | 经济学家 | economista   | Ökonom         | Ökonomin
    accountant     | an accountant    | 会计     | contable     | Buchhalter     | Buchhalterin
    singer         | a singer         | 歌手     | cantante     | Sänger         | Sängerin
    interpreter    | an interpreter   | 翻译     | intérprete   | Dolmetscher    | Dolmetscherin
    lifeguard      | a lifeguard      | 救生员   | socorrista   | Rettungsschwimmer | Rettungsschwimmerin
    astronaut      | an astronaut     | 宇航员   | astronauta   | Astronaut      | Astronautin
    athlete        | an athlete       | 运动员   | atleta       | Athlet         | Athletin
    judge          | a judge          | 法官     | juez         | Richter        | Richterin
    archivist      | an archivist     | 档案员   | archivista   | Archivar       | Archivarin
    comedian       | a comedian       | 喜剧演员 | humorista    | Komiker        | Komikerin
    train driver   | a train driver   | 火车司机 | maquinista   | Lokführer      | Lokführerin
    taxi driver    | a taxi driver    | 出租车司机 | taxista    | Taxifahrer     | Taxifahrerin
    diver          | a diver          | 潜水员   | buzo         | Taucher        | Taucherin
"""
_PETS = """
    fox | a fox | 狐狸 | un zorro | einen Fuchs
    otter | an otter | 水獭 | una nutria | einen Otter
    parrot | a parrot | 鹦鹉 | un loro | einen Papagei
    goat | a goat | 山羊 | una cabra | eine Ziege
    turtle | a turtle | 乌龟 | una tortuga | eine Schildkröte
    rabbit | a rabbit | 兔子 | un conejo | ein Kaninchen
    ferret | a ferret | 雪貂 | un hurón | ein Frettchen
    raven | a raven | 渡鸦 | un cuervo | einen Raben
    owl | an owl | 猫头鹰 | un búho | eine Eule
    hedgehog | a hedgehog | 刺猬 | un erizo | einen Igel
    donkey | a donkey | 驴 | un burro | einen Esel
    lizard | a lizard | 蜥蜴 | un lagarto | eine Eidechse
    snake | a snake | 蛇 | una serpiente | eine Schlange
    goose | a goose | 鹅 | un ganso | eine Gans
    duck | a duck | 鸭子 | un pato | eine Ente
    cat | a cat | 猫 | un gato | eine Katze
    dog | a dog | 狗 | un perro | einen Hund
    pony | a pony | 小马 | un poni | ein Pony
    pig | a pig | 猪 | un cerdo | ein Schwein
    mouse | a mouse | 老鼠 | un ratón | eine Maus
    frog | a frog | 青蛙 | una rana | einen Frosch
    hamster | a hamster | 仓鼠 | un hámster | einen Hamster
    falcon | a falcon | 猎鹰 | un halcón | einen Falken
    peacock | a peacock | 孔雀 | un pavo real | einen Pfau
"""
_INSTRUMENTS = """
    violin | the violin | 小提琴 | el violín | Geige
    flute | the flute | 长笛 | la flauta | Flöte
    piano | the piano | 钢琴 | el piano | Klavier
    guitar | the guitar | 吉他 | la guitarra | Gitarre
    drum | the drum | 鼓 | el tambor | Trommel
    trumpet | the trumpet | 小号 | la trompeta | Trompete
    cello | the cello | 大提琴 | el violonchelo | Cello
    harp | the harp | 竖琴 | el arpa | Harfe
    oboe | the oboe | 双簧管 | el oboe | Oboe
    clarinet | the clarinet | 单簧管 | el clarinete | Klarinette
    accordion | the accordion | 手风琴 | el acordeón | Akkordeon
    banjo | the banjo | 班卓琴 | el banjo | Banjo
    organ | the organ | 管风琴 | el órgano | Orgel
    tuba | the tuba | 大号 | la tuba | Tuba
    lute | the lute | 鲁特琴 | el laúd | Laute
    viola | the viola | 中提琴 | la viola | Bratsche
    trombone | the trombone | 长号 | el trombón | Posaune
    horn | the horn | 圆号 | la trompa | Horn
    mandolin | the mandolin | 曼陀林 | la mandolina | Mandoline
    xylophone | the xylophone | 木琴 | el xilófono | Xylophon
"""
_FOODS = """
    pancakes | pancakes | 煎饼 | tortitas | Pfannkuchen
    soup | soup | 汤 | sopa | Suppe
    dumplings | dumplings | 饺子 | empanadillas | Teigtaschen
    noodles | noodles | 面条 | fideos | Nudeln
    rice | rice | 米饭 | arroz | Reis
    cheese | cheese | 奶酪 | queso | Käse
    apples | apples | 苹果 | manzanas | Äpfel
    cherries | cherries | 樱桃 | cerezas | Kirschen
    honey | honey | 蜂蜜 | miel | Honig
    mushrooms | mushrooms | 蘑菇 | setas | Pilze
    potatoes | potatoes | 土豆 | patatas | Kartoffeln
    tomatoes | tomatoes | 西红柿 | tomates | Tomaten
    olives | olives | 橄榄 | aceitunas | Oliven
    walnuts | walnuts | 核桃 | nueces | Walnüsse
    chocolate | chocolate | 巧克力 | chocolate | Schokolade
    salmon | salmon | 三文鱼 | salmón | Lachs
    lentils | lentils | 扁豆 | lentejas | Linsen
    spinach | spinach | 菠菜 | espinacas | Spinat
    pears | pears | 梨 | peras | Birnen
    pumpkin | pumpkin | 南瓜 | calabaza | Kürbis
    yogurt | yogurt | 酸奶 | yogur | Joghurt
    bread | bread | 面包 | pan | Brot
    eggs | eggs | 鸡蛋 | huevos | Eier
    plums | plums | 李子 | ciruelas | Pflaumen
"""


def _table(text):
    """The lines of a table above: {key: {"en": ..., "zh": ..., "es": ..., "de": ..., "de_f": ...}}."""
    forms = {}
    for line in text.strip().splitlines():
        key, en, zh, es, de, *rest = [cell.strip() for cell in line.split("|")]
        forms[key] = {"en": en, "zh": zh, "es": es, "de": de, "de_f": rest[0] if rest else de}
    return forms


VALUES = {
    "profession": _table(_PROFESSIONS),
    "pet": _table(_PETS),
    "instrument": _table(_INSTRUMENTS),
    "food": _table(_FOODS),
}
ATTRIBUTES = ("birthplace", "profession", "pet", "instrument", "food", "mentor")


def form(attribute, value, lang, gender="m"):
    """A value as a sentence of `lang` wants it; names of people and places stay as they are."""
    forms = VALUES.get(attribute, {}).get(value)
    if forms is None:
        return value
    return forms["de_f"] if lang == "de" and gender == "f" else forms[lang]
