"""The words of the embedded English-German corpus: every word list of the grammar is in this file.

The tables are text, one entry a line, so that they can be read and extended like a dictionary; vocabulary.py
reads them. One English sentence has one German translation and back, as long as no two entries of a table
share a word in either language, and a verb whose past equals its base form (`read`) is used only where the
form tells.
"""

from __future__ import annotations

# English | plural, where it is not +s | German | gender | German plural | genitive singular (not feminine).
# A masculine genitive that does not end in -s marks a weak noun: accusative and dative take the same form.
NOUNS = {
    "person": """
        man | men | Mann | m | Männer | Mannes
        woman | women | Frau | f | Frauen
        child | children | Kind | n | Kinder | Kindes
        boy | | Junge | m | Jungen | Jungen
        girl | | Mädchen | n | Mädchen | Mädchens
        teacher | | Lehrer | m | Lehrer | Lehrers
        doctor | | Arzt | m | Ärzte | Arztes
        student | | Student | m | Studenten | Studenten
        neighbour | | Nachbar | m | Nachbarn | Nachbarn
        friend | | Freund | m | Freunde | Freundes
        colleague | | Kollege | m | Kollegen | Kollegen
        customer | | Kunde | m | Kunden | Kunden
        farmer | | Bauer | m | Bauern | Bauern
        cook | | Koch | m | Köche | Kochs
        judge | | Richter | m | Richter | Richters
        guest | | Gast | m | Gäste | Gastes
        painter | | Maler | m | Maler | Malers
        singer | | Sängerin | f | Sängerinnen
        nurse | | Krankenschwester | f | Krankenschwestern
        mother | | Mutter | f | Mütter
        father | | Vater | m | Väter | Vaters
        brother | | Bruder | m | Brüder | Bruders
        sister | | Schwester | f | Schwestern
        son | | Sohn | m | Söhne | Sohnes
        daughter | | Tochter | f | Töchter
        uncle | | Onkel | m | Onkel | Onkels
        aunt | | Tante | f | Tanten
        grandmother | | Großmutter | f | Großmütter
        grandfather | | Großvater | m | Großväter | Großvaters
        king | | König | m | Könige | Königs
        queen | | Königin | f | Königinnen
    """,
    "animal": """
        dog | | Hund | m | Hunde | Hundes
        cat | | Katze | f | Katzen
        horse | | Pferd | n | Pferde | Pferdes
        bird | | Vogel | m | Vögel | Vogels
        cow | | Kuh | f | Kühe
        mouse | mice | Maus | f | Mäuse
        bear | | Bär | m | Bären | Bären
        rabbit | | Kaninchen | n | Kaninchen | Kaninchens
    """,
    "text": """
        book | | Buch | n | Bücher | Buches
        letter | | Brief | m | Briefe | Briefes
        newspaper | | Zeitung | f | Zeitungen
        poem | | Gedicht | n | Gedichte | Gedichts
        novel | | Roman | m | Romane | Romans
    """,
    "clothing": """
        coat | | Mantel | m | Mäntel | Mantels
        shirt | | Hemd | n | Hemden | Hemdes
        hat | | Hut | m | Hüte | Hutes
        jacket | | Jacke | f | Jacken
        dress | dresses | Kleid | n | Kleider | Kleides
        shoe | | Schuh | m | Schuhe | Schuhs
    """,
    "device": """
        lamp | | Lampe | f | Lampen
        radio | | Radio | n | Radios | Radios
        computer | | Computer | m | Computer | Computers
        clock | | Uhr | f | Uhren
        telephone | | Telefon | n | Telefone | Telefons
    """,
    "furniture": """
        table | | Tisch | m | Tische | Tisches
        chair | | Stuhl | m | Stühle | Stuhls
        bed | | Bett | n | Betten | Bettes
        cupboard | | Schrank | m | Schränke | Schranks
        bench | benches | Bank | f | Bänke
    """,
    "opening": """
        door | | Tür | f | Türen
        window | | Fenster | n | Fenster | Fensters
    """,
    "container": """
        bag | | Tasche | f | Taschen
        suitcase | | Koffer | m | Koffer | Koffers
        box | boxes | Kiste | f | Kisten
        package | | Paket | n | Pakete | Pakets
    """,
    "vessel": """
        cup | | Tasse | f | Tassen
        plate | | Teller | m | Teller | Tellers
        glass | glasses | Glas | n | Gläser | Glases
        bottle | | Flasche | f | Flaschen
    """,
    "belonging": """
        key | | Schlüssel | m | Schlüssel | Schlüssels
        umbrella | | Regenschirm | m | Regenschirme | Regenschirms
        ring | | Ring | m | Ringe | Ringes
        picture | | Bild | n | Bilder | Bildes
        map | | Landkarte | f | Landkarten
        present | | Geschenk | n | Geschenke | Geschenks
    """,
    "vehicle": """
        car | | Auto | n | Autos | Autos
        bicycle | | Fahrrad | n | Fahrräder | Fahrrads
        boat | | Boot | n | Boote | Bootes
        bus | buses | Bus | m | Busse | Busses
        train | | Zug | m | Züge | Zuges
    """,
    "food": """
        apple | | Apfel | m | Äpfel | Apfels
        pear | | Birne | f | Birnen
        egg | | Ei | n | Eier | Eies
        cake | | Kuchen | m | Kuchen | Kuchens
        roll | | Brötchen | n | Brötchen | Brötchens
        sausage | | Wurst | f | Würste
        potato | potatoes | Kartoffel | f | Kartoffeln
        soup | | Suppe | f | Suppen
    """,
    "drink": """
        coffee | | Kaffee | m | Kaffees | Kaffees
        tea | | Tee | m | Tees | Tees
        wine | | Wein | m | Weine | Weines
        beer | | Bier | n | Biere | Bieres
        juice | | Saft | m | Säfte | Saftes
    """,
}

# As above, then: where (English, German with dative) | where to (English, German) | the case that goes with
# it.
PLACES = """
    garden | | Garten | m | Gärten | Gartens | in in | into in | acc
    kitchen | | Küche | f | Küchen | | in in | into in | acc
    cellar | | Keller | m | Keller | Kellers | in in | into in | acc
    forest | | Wald | m | Wälder | Waldes | in in | into in | acc
    park | | Park | m | Parks | Parks | in in | to in | acc
    school | | Schule | f | Schulen | | in in | to in | acc
    church | churches | Kirche | f | Kirchen | | in in | to in | acc
    library | libraries | Bibliothek | f | Bibliotheken | | in in | to in | acc
    museum | | Museum | n | Museen | Museums | in in | to in | acc
    theatre | | Theater | n | Theater | Theaters | in in | to in | acc
    hospital | | Krankenhaus | n | Krankenhäuser | Krankenhauses | in in | to in | acc
    hotel | | Hotel | n | Hotels | Hotels | in in | to in | acc
    restaurant | | Restaurant | n | Restaurants | Restaurants | in in | to in | acc
    office | | Büro | n | Büros | Büros | in in | to in | acc
    village | | Dorf | n | Dörfer | Dorfes | in in | to in | acc
    city | cities | Stadt | f | Städte | | in in | to in | acc
    factory | factories | Fabrik | f | Fabriken | | in in | to in | acc
    market | | Markt | m | Märkte | Marktes | at auf | to auf | acc
    farm | | Bauernhof | m | Bauernhöfe | Bauernhofs | on auf | to auf | acc
    island | | Insel | f | Inseln | | on auf | to auf | acc
    beach | beaches | Strand | m | Strände | Strandes | on an | to an | acc
    lake | | See | m | Seen | Sees | at an | to an | acc
    station | | Bahnhof | m | Bahnhöfe | Bahnhofs | at an | to zu | dat
    airport | | Flughafen | m | Flughäfen | Flughafens | at an | to zu | dat
"""

# Where a thing stands (dative) or is placed (accusative): English | German.
SIDES = """
    on | auf
    under | unter
    behind | hinter
    next to | neben
    in front of | vor
"""

# What German compounds end in, and what they may begin with: `kitchen table` is `Küchentisch`.
COMPOUNDS = """
    table chair lamp clock door window cupboard key: kitchen Küchen | garden Garten | office Büro
    table chair lamp clock door window cupboard key: school Schul | cellar Keller | hotel Hotel
    table chair lamp clock door window cupboard key: hospital Krankenhaus
    coat jacket dress hat shoe: winter Winter | summer Sommer | leather Leder
    cake: apple Apfel | cherry Kirsch | chocolate Schokoladen | plum Pflaumen | cheese Käse | nut Nuss
    soup: potato Kartoffel | tomato Tomaten | onion Zwiebel | vegetable Gemüse | fish Fisch | chicken Hühner
    juice: apple Apfel | orange Orangen | cherry Kirsch | grape Trauben | tomato Tomaten
    bag: travel Reise | school Schul | shopping Einkaufs
    cup: tea Tee | coffee Kaffee
    glass bottle: wine Wein | beer Bier | water Wasser
    book: school Schul | guest Gäste | history Geschichts | picture Bilder
    cat dog: farm Hof | house Haus
"""

# English | comparative | German | comparative | what it is said of.
ADJECTIVES = """
    old | older | alt | älter | person animal thing place
    young | younger | jung | jünger | person animal
    new | newer | neu | neuer | thing place
    small | smaller | klein | kleiner | person animal thing place
    big | bigger | groß | größer | animal thing place
    beautiful | more beautiful | schön | schöner | animal thing place
    expensive | more expensive | teuer | teurer | thing food drink
    cheap | cheaper | billig | billiger | thing food drink
    heavy | heavier | schwer | schwerer | thing
    strong | stronger | stark | stärker | person animal drink
    friendly | friendlier | freundlich | freundlicher | person animal
    famous | more famous | berühmt | berühmter | person place
    rich | richer | reich | reicher | person
    poor | poorer | arm | ärmer | person
    clever | cleverer | klug | klüger | person animal
    tired | more tired | müde | müder | person animal
    hungry | hungrier | hungrig | hungriger | person animal
    happy | happier | glücklich | glücklicher | person
    sad | sadder | traurig | trauriger | person
    lazy | lazier | faul | fauler | person animal
    fresh | fresher | frisch | frischer | food
    warm | warmer | warm | wärmer | food drink place
    cold | colder | kalt | kälter | food drink place
    sweet | sweeter | süß | süßer | food drink
    good | better | gut | besser | food drink thing
    dark | darker | dunkel | dunkler | place
    quiet | quieter | ruhig | ruhiger | place
    modern | more modern | modern | moderner | thing place
    red | | rot | | thing
    blue | | blau | | thing
    green | | grün | | thing
    white | | weiß | | thing
    black | | schwarz | | animal thing
    brown | | braun | | animal thing
    broken | | kaputt | | thing
"""

# Short for several classes, in the last column of the verbs.
CLASSES = {
    "goods": "text clothing device furniture container vessel vehicle food",
    "tools": "belonging container device vehicle furniture",
    "things": "belonging container food text",
}

# With these, "my" or an owner would change the meaning (meine Frau: my wife).
UNOWNED = frozenset({"man", "woman"})

# English base (a particle after _, a fixed preposition after +) | past | German infinitive (a separable part
# before a dot) | du | er | participle, then `sein` where that is the auxiliary | what it takes. Frames:
# transitive: its objects' classes. dative: the same, in the dative. giving: what is given to a person.
# prepositional: English preposition, German preposition, case: classes. A leading `sich` makes it reflexive.
VERBS = {
    "intransitive": """
        sleep | slept | schlafen | schläfst | schläft | geschlafen | person animal
        laugh | laughed | lachen | lachst | lacht | gelacht | person
        cry | cried | weinen | weinst | weint | geweint | person
        work | worked | arbeiten | arbeitest | arbeitet | gearbeitet | person
        dance | danced | tanzen | tanzt | tanzt | getanzt | person
        sing | sang | singen | singst | singt | gesungen | person
        swim | swam | schwimmen | schwimmst | schwimmt | geschwommen sein | person animal
        get_up | got | auf·stehen | stehst | steht | aufgestanden sein | person
        arrive | arrived | an·kommen | kommst | kommt | angekommen sein | person
        fall_asleep | fell | ein·schlafen | schläfst | schläft | eingeschlafen sein | person animal
        go_shopping | went | ein·kaufen | kaufst | kauft | eingekauft | person
        give_up | gave | auf·geben | gibst | gibt | aufgegeben | person
    """,
    "transitive": """
        buy | bought | kaufen | kaufst | kauft | gekauft | goods belonging
        sell | sold | verkaufen | verkaufst | verkauft | verkauft | goods
        look+for | looked | suchen | suchst | sucht | gesucht | person animal text clothing belonging
        find | found | finden | findest | findet | gefunden | text clothing container belonging animal
        see | saw | sehen | siehst | sieht | gesehen | person animal text vehicle belonging
        draw | drew | zeichnen | zeichnest | zeichnet | gezeichnet | animal furniture vehicle vessel
        carry | carried | tragen | trägst | trägt | getragen | container furniture device
        wash | washed | waschen | wäschst | wäscht | gewaschen | clothing vessel vehicle
        repair | repaired | reparieren | reparierst | repariert | repariert | device vehicle furniture opening
        write | wrote | schreiben | schreibst | schreibt | geschrieben | text
        read | read | lesen | liest | liest | gelesen | text
        eat | ate | essen | isst | isst | gegessen | food
        drink | drank | trinken | trinkst | trinkt | getrunken | drink
        order | ordered | bestellen | bestellst | bestellt | bestellt | food drink
        love | loved | lieben | liebst | liebt | geliebt | person animal
        know | knew | kennen | kennst | kennt | gekannt | person
        visit | visited | besuchen | besuchst | besucht | besucht | person place
        understand | understood | verstehen | verstehst | versteht | verstanden | person text
        greet | greeted | grüßen | grüßt | grüßt | gegrüßt | person
        meet | met | treffen | triffst | trifft | getroffen | person
        watch | watched | beobachten | beobachtest | beobachtet | beobachtet | person animal
        forget | forgot | vergessen | vergisst | vergisst | vergessen | belonging container clothing
        lose | lost | verlieren | verlierst | verliert | verloren | belonging container
        need | needed | brauchen | brauchst | braucht | gebraucht | tools clothing vessel
        steal | stole | stehlen | stiehlst | stiehlt | gestohlen | vehicle belonging container food
        hide | hid | verstecken | versteckst | versteckt | versteckt | belonging text container
        build | built | bauen | baust | baut | gebaut | furniture vehicle
        break | broke | zerbrechen | zerbrichst | zerbricht | zerbrochen | vessel
        open | opened | auf·machen | machst | macht | aufgemacht | opening container
        close | closed | zu·machen | machst | macht | zugemacht | opening container
        call | called | an·rufen | rufst | ruft | angerufen | person
        invite | invited | ein·laden | lädst | lädt | eingeladen | person
        pick_up | picked | ab·holen | holst | holt | abgeholt | person container
        bring_along | brought | mit·bringen | bringst | bringt | mitgebracht | things animal
        throw_away | threw | weg·werfen | wirfst | wirft | weggeworfen | text clothing vessel food
        try_on | tried | an·probieren | probierst | probiert | anprobiert | clothing
        take_off | took | aus·ziehen | ziehst | zieht | ausgezogen | clothing
        turn_on | turned | ein·schalten | schaltest | schaltet | eingeschaltet | device
        turn_off | turned | aus·schalten | schaltest | schaltet | ausgeschaltet | device
        wake_up | woke | auf·wecken | weckst | weckt | aufgeweckt | person animal
    """,
    "dative": """
        help | helped | helfen | hilfst | hilft | geholfen | person animal
        thank | thanked | danken | dankst | dankt | gedankt | person
        answer | answered | antworten | antwortest | antwortet | geantwortet | person
        believe | believed | glauben | glaubst | glaubt | geglaubt | person
        follow | followed | folgen | folgst | folgt | gefolgt sein | person animal vehicle
        congratulate | congratulated | gratulieren | gratulierst | gratuliert | gratuliert | person
        listen+to | listened | zu·hören | hörst | hört | zugehört | person
    """,
    "giving": """
        give | gave | geben | gibst | gibt | gegeben | text belonging container food vessel
        show | showed | zeigen | zeigst | zeigt | gezeigt | text belonging animal vehicle
        send | sent | schicken | schickst | schickt | geschickt | text belonging
        lend | lent | leihen | leihst | leiht | geliehen | text clothing vehicle container
        bring | brought | bringen | bringst | bringt | gebracht | food text vessel container
    """,
    "prepositional": """
        wait | waited | warten | wartest | wartet | gewartet | for auf acc: person vehicle text
        think | thought | denken | denkst | denkt | gedacht | of an acc: person animal
        laugh | laughed | lachen | lachst | lacht | gelacht | about über acc: person animal text
        talk | talked | reden | redest | redet | geredet | about über acc: person animal text vehicle
        dream | dreamed | träumen | träumst | träumt | geträumt | of von dat: person animal vehicle
        play | played | spielen | spielst | spielt | gespielt | with mit dat: person animal
        speak | spoke | sprechen | sprichst | spricht | gesprochen | with mit dat: person
        begin | began | beginnen | beginnst | beginnt | begonnen | with mit dat: text
        look+forward | looked | sich freuen | freust | freut | gefreut | to auf acc: person text
        complain | complained | sich beschweren | beschwerst | beschwert | beschwert | about über acc: person
        care | cared | sich kümmern | kümmerst | kümmert | gekümmert | for um acc: person animal
    """,
    "moving": """
        go | went | gehen | gehst | geht | gegangen sein | person
        run | ran | laufen | läufst | läuft | gelaufen sein | person animal
        come | came | kommen | kommst | kommt | gekommen sein | person
        drive | drove | fahren | fährst | fährt | gefahren sein | person
        travel | travelled | reisen | reist | reist | gereist sein | person
        return | returned | zurück·kehren | kehrst | kehrt | zurückgekehrt sein | person
    """,
    "placing": """
        place | placed | stellen | stellst | stellt | gestellt | device vessel container
    """,
    "standing": """
        stand | stood | stehen | stehst | steht | gestanden | device vessel container
    """,
    "saying": """
        say | said | sagen | sagst | sagt | gesagt | person
        know | knew | wissen | weißt | weiß | gewusst | person
        hope | hoped | hoffen | hoffst | hofft | gehofft | person
        believe | believed | glauben | glaubst | glaubt | geglaubt | person
        hear | heard | hören | hörst | hört | gehört | person
    """,
    "asking": """
        ask | asked | fragen | fragst | fragt | gefragt | person
    """,
    "trying": """
        try | tried | versuchen | versuchst | versucht | versucht | person
        begin | began | beginnen | beginnst | beginnt | begonnen | person
        promise | promised | versprechen | versprichst | verspricht | versprochen | person
        forget | forgot | vergessen | vergisst | vergisst | vergessen | person
        plan | planned | planen | planst | plant | geplant | person
    """,
    "owning": """
        belong+to | belonged | gehören | gehörst | gehört | gehört | text clothing container belonging vehicle
    """,
}

# States and feelings, said of no place.
STATIVE = frozenset({"know", "love", "need", "understand", "believe", "belong"})

# First names are the same in both languages. None ends in -s, whose genitive would need an apostrophe.
NAMES = {"m": "Peter Paul David Martin Simon", "f": "Anna Maria Julia Clara Laura"}

# The tense it goes with | English | German. A number N, day, month, ordinal or year is filled in from below.
TIMES = """
    any | today | heute
    any | in the morning | am Morgen
    any | in the evening | am Abend
    any | at night | in der Nacht
    any | at N o'clock | um N Uhr
    any | on DAY | am DAY
    any | in MONTH | im MONTH
    any | in SEASON | im SEASON
    any | on the ORDINAL of MONTH | am ORDINAL MONTH
    present | now | jetzt
    present | every day | jeden Tag
    present | every week | jede Woche
    present | every year | jedes Jahr
    past | yesterday | gestern
    past | last week | letzte Woche
    past | last year | letztes Jahr
    past | N days ago | vor N Tagen
    past | N weeks ago | vor N Wochen
    past | in YEAR | im Jahr YEAR
    future | tomorrow | morgen
    future | next week | nächste Woche
    future | next year | nächstes Jahr
    future | in N days | in N Tagen
    future | in N weeks | in N Wochen
"""
FILLERS = {
    "N": "two zwei | three drei | four vier | five fünf | six sechs | seven sieben | eight acht | "
    "nine neun | ten zehn",
    "DAY": "Monday Montag | Tuesday Dienstag | Wednesday Mittwoch | Thursday Donnerstag | Friday Freitag | "
    "Saturday Samstag | Sunday Sonntag",
    "MONTH": "January Januar | February Februar | March März | April April | May Mai | June Juni | "
    "July Juli | August August | September September | October Oktober | November November | "
    "December Dezember",
    "SEASON": "spring Frühling | summer Sommer | autumn Herbst | winter Winter",
    "ORDINAL": "first ersten | second zweiten | third dritten | fourth vierten | fifth fünften | "
    "sixth sechsten | seventh siebten | eighth achten | ninth neunten | tenth zehnten | twelfth zwölften | "
    "twentieth zwanzigsten",
    "YEAR": " | ".join(f"{year} {year}" for year in range(1960, 2020)),
}
FREQUENCIES = "always immer | often oft | sometimes manchmal | never nie | rarely selten"

# English | German | tense of the main clause and of the subordinate one.
SUBORDINATORS = """
    because | weil | present present
    because | weil | present past
    because | weil | past past
    although | obwohl | present present
    although | obwohl | present past
    although | obwohl | past past
    if | wenn | present present
    before | bevor | present present
    before | bevor | past past
    while | während | present present
    while | während | past past
    as soon as | sobald | present present
"""
CONJUNCTIONS = "and und | but aber"
QUESTION_WORDS = "why warum | when wann | where wo | how often wie oft"
