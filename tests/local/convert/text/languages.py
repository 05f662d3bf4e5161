"""Sentences in many languages, with the encodings that are common or rare in their countries."""

from __future__ import annotations

from typing import Final

SENTENCES: Final[dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]]] = {
    "french": (
        "Les élèves de l'école ont reçu leurs résultats après la fête de Noël, où ils étaient "
        "très fiers de leur maître et de ses leçons.",
        ("cp1252",),
        ("mac_roman", "cp850"),
    ),
    "german": (
        "Die Übung für Anfänger enthält größere Änderungen, die möglichst früh geprüft werden "
        "müssen, sonst drohen Verzögerungen in München und Köln.",
        ("cp1252",),
        ("mac_roman", "cp850", "cp437"),
    ),
    "spanish": (
        "El próximo año la compañía invertirá más dinero en educación y también construirá una "
        "fábrica pequeña cerca de Córdoba según explicó el señor Muñoz.",
        ("cp1252",),
        ("mac_roman", "cp850"),
    ),
    "portuguese": (
        "A reunião começará às três horas, não é necessário confirmação, porém a organização "
        "já enviou informações sobre o próximo mês à sua direção.",
        ("cp1252",),
        ("mac_roman", "cp850"),
    ),
    "italian": (
        "Perché la città è così bella che più persone vogliono andare là, però il caffè "
        "costerà di più martedì e ciò non piacerà alla società.",
        ("cp1252",),
        ("mac_roman", "cp850"),
    ),
    "swedish": (
        "Många människor på västkusten åker båt över sjön för att köpa färska räkor och höra "
        "på vågorna när kvällen är ljus.",
        ("cp1252",),
        ("mac_roman", "cp850"),
    ),
    "danish": (
        "Når børnene går på stranden, spiser de blåbær og drikker sødmælk, før de kører hjem "
        "til København på cykel.",
        ("cp1252",),
        ("cp865",),
    ),
    "finnish": (
        "Tänään on hyvä päivä mennä järvelle, sillä sää on lämmin ja äiti lähti jo töihin Jyväskylään.",
        ("cp1252",),
        ("cp850",),
    ),
    "polish": (
        "Zażółć gęślą jaźń, powiedział książę, gdy żołnierze wróciły z dalekiej podróży do "
        "Łodzi, gdzie czekało śniadanie i świeża wędlina.",
        ("cp1250", "iso8859_2"),
        ("cp852", "mac_latin2"),
    ),
    "czech": (
        "Žluťoučký kůň pěl ďábelské ódy, když přišel večer a městečko ztichlo, neboť všichni "
        "šli spát do svých domů.",
        ("cp1250", "iso8859_2"),
        ("cp852", "mac_latin2"),
    ),
    "slovak": (
        "Kŕdeľ ďatľov učí koňa žrať kôru, zatiaľ čo môj strýko pečie chlieb a číta noviny v kúpeľni.",
        ("cp1250", "iso8859_2"),
        (),
    ),
    "hungarian": (
        "Árvíztűrő tükörfúrógép működött a gyárban, ahol a munkások győztek és örömmel "
        "ünnepelték a születésnapot.",
        ("cp1250", "iso8859_2"),
        ("cp852",),
    ),
    "romanian": (
        "Muzicologă în bej vând whisky şi tequila, preţ fix, pentru că oraşul Iaşi îşi "
        "aşteaptă oaspeţii în fiecare an.",
        ("cp1250",),
        ("iso8859_16",),
    ),
    "croatian": (
        "Gojazni đačić s biciklom drži hmelj i finu vatu u džepu nošnje, a čovjek žuri kući jer će šetati.",
        ("cp1250", "iso8859_2"),
        (),
    ),
    "turkish": (
        "Pijamalı hasta yağız şoföre çabucak güvendi, çünkü İstanbul’da yağmur yağıyordu ve "
        "otobüs geç kalmıştı.",
        ("cp1254",),
        ("iso8859_9", "cp857"),
    ),
    "latvian": (
        "Glāžšķūņa rūķīši dzērumā čiepj Baha koncertflīģeļu vākus, bet Rīgā šodien līst lietus.",
        (),
        ("cp1257",),
    ),
    "lithuanian": (
        "Įlinkdama fechtuotojo špaga sublykčiojusi pragręžė apvalų arbūzą, o Šiauliuose ūžė vėjas.",
        (),
        ("cp1257",),
    ),
    "estonian": (
        "Põdur Zagrebi tšellomängija follimisel üle õue, kus sügisöö oli külm ja öölased käisid.",
        (),
        ("cp1257", "iso8859_15"),
    ),
    "russian": (
        "В чащах юга жил бы цитрус? Да, но фальшивый экземпляр! Договор поставки подписан "
        "директором ООО Ромашка в городе Екатеринбурге.",
        ("cp1251", "koi8_r"),
        ("cp866", "iso8859_5", "mac_cyrillic"),
    ),
    "ukrainian": (
        "Чуєш їх, доцю, га? Кумедна ж ти, прощайся без ґольфів! Київський університет оголосив результати.",
        ("cp1251",),
        ("koi8_u",),
    ),
    "bulgarian": (
        "Хълцат щурчетата в тъмните ливади, докато учениците четат книги в София и Пловдив.",
        ("cp1251",),
        (),
    ),
    "serbian": (
        "Фијуче ветар у шибљу, леди пасаже и куће иза њих и гунђа у оџацима Београда.",
        ("cp1251",),
        (),
    ),
    "greek": (
        "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία, ενώ η Ελλάδα γιορτάζει την εθνική επέτειο στην Αθήνα.",
        ("cp1253", "iso8859_7"),
        ("cp737", "mac_greek"),
    ),
    "hebrew": (
        "דג סקרן שט בים מאוכזב ולפתע מצא חברה, והחוזה נחתם בתל אביב על ידי המנהל הכללי.",
        ("cp1255",),
        ("iso8859_8", "cp862"),
    ),
    "arabic": (
        "نص حكيم له سر قاطع وذو شأن عظيم مكتوب على ثوب أخضر ومغلف بجلد أزرق في مدينة القاهرة.",
        ("cp1256",),
        ("iso8859_6", "mac_arabic"),
    ),
    "thai": (
        "เป็นมนุษย์สุดประเสริฐเลิศคุณค่า กว่าบรรดาฝูงสัตว์เดรัจฉาน บริษัทไทยลงทุนในกรุงเทพ",
        ("cp874",),
        (),
    ),
    "chinese": (
        "根据合同约定，乙方应当在收到货物后十个工作日内支付全部货款。 "
        "逾期付款的，每日按照未付金额的千分之一支付违约金。 海淀区 服务器 运维 日志 错误代码",
        ("gb18030",),
        ("utf-16-le", "utf-16-be"),
    ),
    "taiwanese": (
        "依據合約規定，乙方應於收到貨物後十個工作天內支付全部貨款。 "
        "逾期付款者，每日按未付金額千分之一計算違約金。 新竹縣 伺服器 維護 紀錄 錯誤代碼",
        ("big5", "cp950"),
        (),
    ),
    "japanese": (
        "契約に基づき、乙は商品の受領後十営業日以内に代金を支払うものとする。 サーバー エラー "
        "ログ 東京都新宿区 会議室 見積書 ご確認ください",
        ("cp932", "euc_jp", "iso2022_jp"),
        (),
    ),
    "korean": (
        "계약에 따라 을은 물품을 수령한 후 열흘 이내에 대금을 지급하여야 한다. 서버 오류 기록 "
        "서울특별시 강남구 회의실 견적서 확인 바랍니다",
        ("cp949", "euc_kr"),
        (),
    ),
}
"""For each language: the text, its common encodings, and its rare encodings."""
