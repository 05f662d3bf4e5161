"""Characters by script and language: the most frequent ones, and the alphabets with Latin letters."""

from __future__ import annotations

from typing import Final

# The most frequent characters: a text that is decoded in a wrong encoding seldom has them.
HANZI: Final = frozenset(
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里"
    "用道行所然家种事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实"
    "日军者意无力它与长把机十民第公此已工使情明性知全三又关点正业外将两高间由问很最重并物手应战向头文体政"
    "美相见被利什二等产或新己制身果加西斯月话合回特代内信表化老给世位次度门任常先海通教儿原东声提立及比员"
    "解水名真论处走义各入几口认条平系气题活尔更别打女变四神总何电数安少报才结反受目太量再感建务做接必场件"
    "计管期市直德资命山金指克许统区保至队形社便空决治展马科司五基眼书非则听白却界达光放强即像难且权思王象"
    "完设式色路记南品住告类求据程北边死张该交规万取拉格望觉术领共确传师观清今切院让识候带导争运价百单货号姓"
    "客户订合同金额备注地址城市深圳李请双签字盖章效法律款付账"
    # Surnames, provinces and cities, and the words of forms and tables.
    "王张刘陈杨黄赵吴周徐孙胡朱林何郭罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎余潘杜戴夏"
    "钟汪田任姜范石姚谭廖邹熊陆郝孔白崔康毛邱秦江史顾侯邵孟龙段雷钱汤尹黎武乔贺赖龚伟芳娜敏静强磊洋艳勇杰娟涛"
    "超霞刚玲云宇浩鑫轩涵晓雪梅兰春秋京沪津渝冀豫辽黑湘皖鲁浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼省县镇乡村街号楼室"
    "州港澳武汉杭广东莞佛厦苏尔滨春津温湿度产库存量额税票支付款订采购销售客服仓储报表季财务审核批准签备注年月日周"
    "项目编序姓名性别男女龄岗职称联系箱传真邮址邮寄件附页码版标错误警告提示失败成功文件夹搜索登录退出注册密用户"
)
HANZI_TRADITIONAL: Final = frozenset(
    "這個們來為國說時會對學過發後裡還進麼現當沒動開實軍與長機無關點業將兩間問應戰頭體見產東聲門員論處義幾條"
    "氣題爾變總電數報結場區隊達權傳師觀讓識帶導爭運價單貨號訂備註圳請雙簽蓋灣臺客戶聯絡務檔說統"
    "王張劉陳楊黃趙吳周徐孫胡朱林何郭羅梁宋鄭謝韓唐馮董蕭程曹袁鄧許傅沈曾彭呂蘇盧蔣蔡賈葉余潘杜鍾姜譚廖鄒陸"
    "北市縣鄉鎮區路號樓室香港特別行政府產品銷售額購買價錢報表財務審核簽核請假單電腦鍵盤螢幕滑鼠網站登錄帳號密碼"
    "歡迎光臨注意事項資料檔案錯誤警告姓名性別年齡職稱聯絡地址郵件傳真附註繁體中文營業額季第幣玲瓏志明淑芬惠美雅"
)
KANJI: Final = frozenset(
    "日一国人年大十二本中長出三時行見月後前生五間上東四今金九入学円高子外八六下来気小七山話女北午百書先名川千水"
    "半男西電校土木聞食車何南万毎白天母火右読友左休父雨株式会社部課員表計合数量単価税込別商品番号客様氏住所県市区"
    "町村都府道京阪神戸横浜福岡名古屋札幌仙台広島郵便話田中鈴佐藤橋渡辺伊村小林加吉松井斎清太郎花次健美恵由幸和"
    "報告書資料説明会議事項目次第四期決算半営業利益売上高請求見積注文納受領収印刷保存開始終了新規編集検索設定変更"
    "追加削除一覧平成昭令元世界経済政治社会化学生活問題情報技術開発管理者使用方法内容確認必要場合以下以上対応"
)
HANGUL: Final = frozenset(
    "이다는에의을를가하고지한로도서기사자인은어나리시대정수전해그으일부제보라아여유성용주만장구상스원모동면들"
    "연소신니과안문조적것있비화명요습세녕김울철합입되며선관공국재계방분행경위내중생물통개설데무업및임없드트우등"
    "오게바실산심진미년월박최센터십따라고객락처감회의번호름"
)
CYRILLIC: Final = frozenset("оеаинтсрвлкмдпу")
CYRILLIC_WORDS: Final = frozenset("авикосуяеэбжнзєїі")
"""Letters that are words by themselves."""
# Letters of a few languages only: a text in a wrong encoding often has them by chance.
RARE: Final = frozenset("ѓѕјљњћќџђґ")
# Hebrew and Greek letters that occur only at the end of a word, and Thai vowels that carry no marks.
ONLY_AT_ENDS: Final = "ךםןףץς"
BEFORE_A_LETTER: Final = "เแโใไๅำะา"
HEBREW: Final = frozenset("יוהלאתרמבנשםן")
ARABIC: Final = frozenset("اليمنوترهبدةأ")
THAI: Final = frozenset("านรกอมเวลสยดตทคบแไโ")
GREEK: Final = frozenset("αοιετσνηυρπκμλάέίόήύ")
# French, German, Spanish, Portuguese, Italian, Dutch, Norwegian, Swedish, Icelandic, Catalan.
WESTERN_ALPHABETS: Final = (
    "àâæçèéêëîïôœùûü", "äöüßé", "áéíñóúü", "àáâãçéêíóôõú", "àèéìíòóù", "ëïéèöüáóç", "æøåéóò", "åäöéü",
    "áðéíóúýþæö", "àçèéíïòóúü",
)  # fmt: skip
# Polish, Czech, Slovak, Hungarian, Romanian, Croatian, Albanian.
CENTRAL_ALPHABETS: Final = (
    "ąćęłńóśźż", "áčďéěíňóřšťúůýž", "áäčďéíĺľňóôŕšťúýž", "áéíóöőúüű", "ăâîşţ", "čćđšž", "çëäöü",
)  # fmt: skip
# Lithuanian, Latvian, Estonian.
BALTIC_ALPHABETS: Final = ("ąčęėįšųūž", "āčēģīķļņšūž", "äöüõšž")
TURKISH_ALPHABETS: Final = ("çğıöşüâîûi̇",)
# Pairs of two vowels or two consonants that are normal in French, Spanish, Portuguese, Dutch, German,
# Finnish, Polish, Czech, Romanian or Turkish.
_PAIRS: Final = (
    "nç rç œu où oû aî oî aï oï oë ée éa éo iè iê ié ió ía íe ío iá ué uí úa aí oí aú üe üi ão õe ãe éi ",
    "ói áu ië eë ïe äu ßt ää öö äi öi äy öy iä yö uö iù ià iò ",
    "ół ńs ńc ńk rś śc ść śl śm śn św łg łk łt łn łd łż łc źn źd źl żn żd żk dź bł pł gł kł wł mł zł ",
    "sł tł chł ył čt čn čk šk št šl žn žk žl tř př kř hř vř dř ří zď sť ňk ",
    "şt şk şm şl nţ rţ ăi âi uă iă ğr ğl ğm rş rç şç ği ığ",
)
PAIRS: Final = frozenset("".join(_PAIRS).split())
THAI_VOWELS: Final = frozenset("ะาำัิีึืุูเแโใไ็")
