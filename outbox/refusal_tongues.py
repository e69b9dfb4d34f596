"""The rows of words in other languages than English: what became of a mailbox, a domain or a message, by tongue.

Data only, asked after the English words and before the codes (`refusal_rows.STAGES`). A word for "blocked" or "invalid"
counts only beside a word for a mailbox, since the same is said of us. Servers write with and without accents.
"""

from typing import Final

from outbox.refusal_causes import Cause
from outbox.refusal_causes import text as _text

C = Cause

# A mailbox, an address or its owner: de, fr, es/pt, it, nl/sv/da, pl/cs, ru/uk, tr, fi, hu, ro, el.
_THEIRS: Final = (
    r"(?:konto\w*|account|mailbox|postfach|\w*adress\w*|empf\w+nger\w*|benutzer\w*|teilnehmer|compte|bo[iî]te"
    r"|destinataires?|mottaker\w*|bruker\w*|postboks\w*|innboks\w*|[uú][cč]et\w*|hesa[bp]\w*|fi[oó]k\w*"
    r"|cont(?:ul)?|tili\w*"
    r"|utilisateur|cuenta|usu[aá]rio|buz[oó]n|casilla|destinat[aá]ri[oa]s?|direcci[oó]n|correo|conta|caixa"
    r"|endere[cç]o"
    r"|cas(?:ella|setta)|indirizzo|utente|postvak|gebruiker|ontvanger|mottagare\w*|anv[aä]ndare\w*"
    r"|modtager\w*"
    r"|bruger\w*"
    r"|skrzynk\w+"
    r"|u[zż]ytkownik\w*|adres\w*|odbiorc\w+|schr[aá]nk\w+|u[zž]ivatel\w*|p[rř][ií]jemce|ящик\w*|аккаунт\w*"
    r"|пользовател\w+|получател\w+|адрес\w*|скриньк\w+|користувач\w*|одержувач\w*|kullan[iı]c[iı]\w*"
    r"|al[iı]c[iı]\w*|posta kutusu"
    r"|vastaanottaja\w*|k[aä]ytt[aä]j[aä]\w*|postilaatik\w+|c[ií]mzett\w*|felhaszn[aá]l\w+|postafi[oó]k\w*"
    r"|utilizator\w*|destinatar\w*|c[aă]su[tț]\w+|παραλήπτη\w*|χρήστη\w*|γραμματοκιβώτιο|brevl[aå]da\w*"
    r"|postkasse\w*)"
)

# Who writes: the same words of a sender are about us.
_SENDERS: Final = (
    r"(?:absender\w*|exp[eé]diteur|[eé]metteur|remitente|remetente|mittente|afzender|avs[aä]ndare\w*"
    r"|nadawc\w+"
    r"|odes[ií]latel\w*"
    r"|отправител\w+|g[oö]nder[ei]n|发件人|發件人|寄件人|送信者|差出人)"
)
_REFUSED: Final = (
    r"(?:abgelehnt|abgewiesen|zur[uü]e?ckgewiesen|gesperrt|nicht (?:erlaubt|zugelassen|akzeptiert)"
    r"|refus[eé]e?s?\b"
    r"|rejet[eé]|bloqu[eé]"
    r"|rechazad|bloquead|rejeitad|recusad|no (?:permitid|autorizad|admitid)|n[aã]o (?:permitid|autorizad"
    r"|aceit)"
    r"|respint|rifiutat|bloccat|non (?:consentit|autorizzat|accettat|permess)|geweigerd|geblokkeerd"
    r"|odrzucon|zablokowan"
    r"|odm[ií]tnut|отклон|запрещ|заблокирован|отказано|reddedil|engellen|被拒|拒绝|拒絕|禁止|封禁|屏蔽"
    r"|拒否|거부|차단)"
)

_NOWHERE: Final = (
    r"(?:unbekannt\w*|ung[uü]e?ltig\w*|inconnue?s?|introuvable|invalides?|inexist\w+|desconocid\w+"
    r"|desconhecid\w+"
    r"|inv[aá]lid\w+|sconosciut\w+|inesistent\w|onbekend\w*|ok[aä]nd\w*|ukendt\w*|ukjent\w*|nieznan\w+"
    r"|nezn[aá]m\w+"
    r"|neexist\w+|неизвестн\w+|невідом\w+|ge[cç]ersiz|ismeretlen|necunoscut\w*|άγνωστ\w+|tuntema\w+)"
)
_TOO_FAR: Final = (  # a limit was passed
    r"(?:[uü]e?berschritten|d[eé]pass\w+|exced\w+|super[aoó]\w*|ultrapass\w*|overschreden|przekroc\w+"
    r"|p[rř]ekro[cč]\w+"
    r"|превыш\w+|перевищ\w+|a[sş][iı]ld[iı]|dol(?:du|mu[sş])|[oö]verskrid\w+)"
)
_QUOTA: Final = (
    r"(?:[qk]uot[ae]\w*|cuota|cota|kv[oó]t\w+|квот\w+|kota\w*|almacenamiento|armazenamento|speicher\w*"
    r"|miejsc\w+)"
)
_SIZE: Final = (
    r"(?:gr[oö]e?(?:ß|ss)e|taille|tama[nñ]h?o|dimension\w+|rozmiar\w*|velikost|размер\w*|розмір\w*|boyut\w*)"
)

TONGUES: Final = (
    _text(
        C.CONTENT,
        "taken for spam, or refused for what it contains",
        r"antyspam|(?:als|som|comme|como|come) spam|спам|нежелательн|垃圾|反垃圾|スパム|迷惑メールと|스팸",
        r"\bviren\b|вирус|вірус|病毒|ウイルス|wirus|바이러스|\bv[ií]r[uü]s\b|roskaposti|[违違]禁",
        rf"(?:pi[eè]ce jointe|anexo|adjunto|allegato|anhang|za[lł][aą]cznik\w*"
        rf"|вложени\w+)\b.{{0,40}}{_REFUSED}",
        rf"(?:{_REFUSED}|niedozwolon|interdit|запрещ)\w* .{{0,20}}(?:za[lł][aą]cznik|вложени)"
        rf"|pi[eè]ce jointe interdite",
        rf"\b(?:contenu|contenido|conte[uú]do|contenuto|inhalts?|tre[sś][cć]"
        rf"|содержим\w+)\b.{{0,60}}{_REFUSED}",
        rf"{_REFUSED}.{{0,60}}\b(?:contenu|contenido|conte[uú]do|contenuto|inhalts?|tre[sś][cć]"
        rf"|содержим\w+)\b",
    ),
    _text(
        C.POLICY,
        "they do not take our sender address",
        rf"{_SENDERS}.{{0,60}}(?:{_REFUSED}|ung[uü]e?ltig|unbekannt|inv[aá]lid|inconnu|desconocid"
        rf"|desconhecid|sconosciut"
        r"|non valid|existiert nicht|n'existe|no existe|n[aã]o existe|non esiste|неизвест|不存在|无效)",
        rf"{_REFUSED}.{{0,20}}{_SENDERS}",
        r"keine berechtigung|nicht berechtigt|pas (?:l'autorisation|autoris)|no (?:tiene permiso"
        r"|est[aá] autorizad)"
        r"|non (?:si dispone dell'autorizzazione|hai il permesso)|n[aã]o tem permiss|geen toestemming"
        r"|brak uprawnie"
        r"|нет (?:разрешения|прав)|[没沒]有[权權]限|権限がありません|권한이 없",
    ),
    _text(
        C.RATE,
        "too much volume or too many connections",
        r"(?:trop de|zu viele|demasiad[oa]s|troppe?i?|muit[oa]s|te veel|zbyt wiele|p[rř][ií]li[sš] mnoho"
        r"|слишком много|过多|太多)"
        r" ?(?:\w+ )?(?:conn?ex\w+|connessioni|verbindung\w*|verbindingen|po[lł][aą]cze\w+|соединени\w+"
        r"|mens(?:aje|age)\w*|messages"
        r"|messaggi|mensagens|nachrichten|wiadomo\w+|сообщени\w+|писем|requ[eê]tes|destinat\w+|连接|邮件)",
        r"(?:quota|cuota|cota) (?:d.envoi|de env[ií]o|di invio)|excesso de (?:conex|mens)"
        r"|p[rř][ií]li[sš] mnoho spojen",
        r"(?:连接|連線|連接)数?過?过?多|接続.{0,4}(?:多すぎ|超)|(?:접속|연결).{0,4}(?:너무 많|초과)",
        r"(?:l[ií]mite|limite|grenze|лимит\w*) .{0,20}(?:conn?ex\w+|connessioni|env[ií]os?|invio|envoi"
        r"|verbindung\w*|отправ\w+)",
        r"(?:连接|連線|发送|發送|发信)\w{0,4}(?:频率|頻率|次数|过于频繁|超)|频率(?:限制|过高)|送信制限"
        r"|送信数",
    ),
    _text(
        C.BLOCKED,
        "our address or domain is on a block list of theirs or of others",
        rf"(?<![a-z])ip(?![a-z]).{{0,50}}(?:{_REFUSED}|blok(?:ov[aá]n|eret)|blocat|estetty|заблоковано"
        rf"|封[鎖锁禁])",
        rf"\b(?:ip|servidor|serveur|server|dominio|dom[ií]nio|domaine|сервер\w*)\b.{{0,50}}\b{_REFUSED}",
        rf"{_REFUSED}.{{0,20}}\b(?:ip|servidor|serveur)\b|(?:ip|IP)地址.{{0,10}}{_REFUSED}",
        r"liste? noire|lista (?:negra|nera)|schwarz\w+ liste|sperrliste|czarn\w+ li[sś]|zwarte lijst"
        r"|чорн\w+ спис|[cč]ern\w+ listin"
        r"|ч[её]рн\w+ спис\w+|tilt[oó]list|黑名单|黑名單"
        r"|ブラックリスト|kara liste",
    ),
    _text(
        C.PTR,
        "our address has no matching reverse DNS",
        r"(?:sem|sin|senza|sans|kein\w*|brak|geen|без) (?:\w+ )?(?:dns|rdns|ptr)\b|(?:dns|rdns) (?:reverso"
        r"|inverso|inversa|inverse)",
        r"反向(?:解析|域名)|逆引き",
    ),
    _text(
        C.FULL,
        "the mailbox is full",
        rf"\b{_QUOTA}\b.{{0,30}} {_TOO_FAR}|{_TOO_FAR}\b.{{0,20}} {_QUOTA}\b(?! d.envoi| de env| di invio)",
        r"(?:sin espacio|sem espa[cç]o|brak miejsca|недостаточно места|недостатньо місця"
        r"|esp\w+ disque insuffisant)",
        r"超出[配容][额額量]",
        r"(?:postfach|mailbox|speicher\w*|quota|konto)\b.{0,60}(?:voll\b|[uü]e?berschritten|ersch[oö]e?pft"
        r"|erreicht|belegt)",
        r"zu ?viele (?:e-?)?mails|bo[iî]te.{0,40}(?:pleine|satur[eé]e)|quota .{0,20}(?:d[eé]pass|atteint)",
        r"d[eé]pass[eé]\w* .{0,20}quota\b(?! d.envoi)"
        r"|(?:super[aoó]\w*|exced\w+|ultrapass\w*) .{0,20}(?:cuota|cota|quota)\b(?! de env[ií]o| di invio)",
        r"espace insuffisant|(?:buz[oó]n|casilla|cuenta|correo).{0,40}llen[oa]",
        r"(?:cuota|espacio) .{0,30}(?:exced|super|agotad|insuficiente)|excedid[oa] .{0,20}cuota",
        r"caixa .{0,40}cheia|cota .{0,20}(?:exced|ultrapass)|sem espa[cç]o|cas(?:ella|setta) .{0,40}piena",
        r"(?:quota|spazio) .{0,30}(?:superat|esaurit|insufficiente)|(?:mailbox|postvak)\b.{0,20} vol\b",
        r"skrzynka.{0,40}pe[lł]n|przekroczon\w+ .{0,30}(?:limit|pojemno|quota)|schr[aá]nka.{0,40}pln",
        r"kota\w* .{0,20}(?:dol|a[sş])|переполнен|превышен\w* .{0,20}(?:квот|размер ящик)|ящик.{0,20} полон",
        r"容量.{0,14}(?:超|オーバー|不足|いっぱい|一杯)|メールボックスが.{0,8}(?:一杯|いっぱい|満杯)",
        r"空间.{0,4}(?:不足|已?满)|空間不足|(?:邮箱|信箱|郵箱)(?:已|空间)?[满滿]",
        r"(?:容量|配额|配額).{0,6}(?:已?[满滿]|超|不足)|용량.{0,8}초과|메일함.{0,8}가득",
        rf"\b{_THEIRS}\b.{{0,60}}\b(?:t[aä]ynn[aä]\b|megtelt|\bplin[aă]?\b|\bfull[at]?\b|\bfuld\b|doldu"
        rf"|\bdolu\b|lotad[ao]"
        r"|переповнен|γεμάτ|taille max|espace .{0,20}insuffisant|plein[e]?\b)",
        r"(?:spazio|espacio|espa[cç]o|espace|miejsca?|мест[ао]?)\b.{0,30}(?:esaurit|agotad|esgotad"
        r"|[eé]puis|brak|нет|недостаточно)",
    ),
    _text(
        C.TOO_BIG,
        "the message is too big",
        r"\b(?:zu gro(?:ß|ss)|trop (?:gros|volumineux|grand)|demasiado grande|troppo grande|muito grande"
        r"|te groot)",
        r"za du[zż]|p[rř][ií]li[sš] velk|слишком больш|завелик|[cç]ok b[uü]y[uü]k|f[oö]r stor\w?\b"
        r"|liian suuri|t[uú]l nagy",
        rf"prea mare|{_SIZE}\b.{{0,30}} {_TOO_FAR}|{_TOO_FAR}\b.{{0,30}} {_SIZE}(?! ящик)|크기.{{0,4}}초과"
        rf"|용량이 너무",
        r"サイズ.{0,14}(?:超え|超過|大きすぎ|オーバー)|(?:邮件|郵件).{0,6}(?:过大|過大|太大)",
        r"размер.{0,30}(?:превыш|больше)|превыш.{0,20}размер(?! ящик)|太大|(?:邮件|郵件)大小.{0,6}超",
        r"(?:zul[aä]e?ssige|maximale) gr[oö]e?(?:ß|ss)e|taille .{0,30}(?:sup[eé]rieure|limite|maxim)"
        r"|trop volumineux",
        r"(?:dimension\w+|tama[nñ]o|tamanho) m[aá]ssim\w+|(?:tama[nñ]o|tamanho) (?:m[aá]ximo|.{0,20}exced)"
        r"|rozmiar .{0,20}przekr",
    ),
    _text(
        C.INACTIVE,
        "the mailbox is closed, locked or not used",
        rf"\b{_THEIRS}\b.{{0,60}}\b(?:deaktiviert|gesperrt|inaktiv|stillgelegt|d[eé]sactiv|suspend|ferm[eé]"
        r"|inacti[fv]|desactivad|bloquead|expirad|disat+iv|sospes|bloccat|scadut|desativad|inativ|cancelad"
        r"|geblokkeerd|opgeheven|uitgeschakeld|sp[aä]rra[dt]|geschlossen|d[ei]s+h?abilit|suspens|lukket"
        r"|stengt|deaktivert"
        r"|suljettu|tiltva|dezactivat|заблоковано|inaktiv|zablokowan|nieaktywn|zawieszon"
        r"|wy[lł][aą]czon|deaktivov|zablokov|заблокирован|отключ|неактив|приостановлен|удал[её]н|kapat[iı]l"
        r"|pasif)",
        r"(?:휴면|정지|해지|탈퇴).{0,6}(?:계정|사용자|회원)|(?:ご利用|アカウント).{0,8}停止",
        r"已?(?:停用|禁用|冻结|凍結|注销|註銷)",
        r"\b(?:compte|bo[iî]te|adresse)\b.{0,40}cl[oô]tur|вимкнен|askıya|не активен|неактивн",
        r"(?:用户|帐号|账号|邮箱|アカウント|メールアドレス|メールボックス).{0,12}(?:锁定"
        r"|鎖定|未开通|过期|停止|凍結|無効|ロック|休止)",
    ),
    _text(
        C.FILTERED,
        "the recipient's own filter refuses us",
        r"受信(?:を)?(?:拒否|制限|できない設定)|ドメイン指定受信|拒收|拒絕接收|拒绝接收",
        r"empf\w+nger (?:verweigert|lehnt)",
    ),
    _text(
        C.HOST_GONE,
        "the recipient's domain does not resolve",
        r"(?:domain|host|dom[aä]ne?|dominio|dom[ií]nio|domaine|домен\w*)\b.{0,40}(?:nicht gefunden"
        r"|existiert nicht|unbekannt|inconnu|introuvable|n'existe|no existe|non (?:esiste|trovat)"
        r"|n[aã]o (?:existe|encontrad)|не (?:существует|найден))",
        r"(?:ホスト名?|ドメイン名?)が?.{0,8}(?:見つかりません|存在しません|不明)",
        r"(?:域名|网域|網域).{0,4}(?:不存在|错误)",
    ),
    _text(
        C.UNKNOWN,
        "there is no such recipient",
        rf"\b{_NOWHERE} (?:\w+ )?{_THEIRS}\b|\b{_THEIRS}\b.{{0,60}}\b{_NOWHERE}\b",
        r"kein solcher|b[oö]yle bir|\byok\b|non trovat|(?:finnes|eksisterer|finnas) (?:ikke|inte)",
        r"(?:ユーザー?|利用者|受信者).{0,8}(?:いません|ありません)|(?:アドレス|宛先).{0,6}正しく",
        rf"\b{_THEIRS}\b.{{0,60}}\b(?:unbekannt|nicht (?:bekannt|gefunden|vorhanden|registriert|g[uü]ltig)"
        r"|existiert nicht|ung[uü]e?ltig|inconnue?s?\b|invalides?\b|inexist|desconocid|no (?:v[aá]lid"
        r"|encontrad|registrad)|inv[aá]lid|sconosciut|errat[oa]\b|non (?:valid|registrat)|desconhecid"
        r"|n[aã]o (?:cadastrad|v[aá]lid)|onbekend|bestaat niet|finns inte|ok[aä]nd|findes ikke|ukendt"
        r"|nieznan|nie (?:istnieje|zosta)|nezn[aá]m|neexist|ne(?:byl\w? )?nalezen|неизвест|отсутств"
        r"|не зарегистрирован"
        r"|bulunamad|ge[cç]ersiz|невідом|finnes ikke|ikke fundet|ei l[oö]ydy)",
        r"tuntema(?:ton|ttom)|ismeretlen|nem (?:tal[aá]lhat[oó]|l[eé]tezik)|necunoscut|nu (?:exist[aă]"
        r"|a fost g[aă]sit)",
        r"не (?:існує|знайдено)|невірна адреса|δεν (?:υπάρχει|βρέθηκε)|άγνωστ|kh[oô]ng t[oồ]n t[aạ]i"
        r"|tidak (?:ditemukan|ada)",
        r"(?:impossibile trovare|no se (?:pudo|ha podido) encontrar|foi poss[ií]vel encontrar"
        r"|kan niet worden gevonden"
        r"|nie znaleziono|не удалось найти|gick inte att hitta|se nenašla|찾을 수 없).{0,60}"
        r"(?:e-?mail|posta|correo|adres|адрес|$|\.)|indirizzo .{0,30}non trovato|gibt es (?:hier )?nicht",
        r"n'existe pas|introuvable|existiert nicht|nicht (?:gefunden|bekannt|vorhanden)",
        r"n[aã]o (?:existe|encontrad)|no (?:se )?(?:existe|encuentra|encontr)",
        r"non (?:esiste|[eè] stato trovat)|inconnu|не (?:существует|найден)|nie (?:istnieje|ma takie)",
        r"usuario desconocido|utilisateur inconnu|нет такого (?:пользовател|адрес|ящик)|inesistente",
        r"見つかりません|見つかりませんでした|存在しません|存在していません|宛先不明",
        r"登録されて(?:いません|おりません)|該当.{0,12}(?:ありません|いません)|不存在|无此|無此|找不到|查无",
        r"未注册|错误的收件人|존재하지 않|없는 (?:사용자|계정|주소)",
    ),
    _text(
        C.EXPIRED,
        "the time for delivery ran out at a later server",
        r"配信期限|再送.{0,20}(?:できません|断念|終了)|一定期間|zeit\w* (?:abgelaufen|[uü]berschritten)",
        r"d[eé]lai .{0,20}(?:expir|d[eé]pass)",
    ),
    _text(
        C.UNREACHABLE,
        "another server could not reach the next one",
        r"タイムアウト|接続(?:できません|に失敗|が拒否)|応答(?:が)?(?:ありません|なし)|连接(?:失败|超时)",
        r"連線(?:失敗|逾時)|verbindung .{0,30}(?:fehlgeschlagen|abgelehnt|nicht m[oö]glich)",
    ),
)

# Vaguer words, for codes that say nothing.
VAGUE_TONGUES: Final = (
    _text(
        C.BUSY,
        "their server is busy or broken",
        r"vor[uü]e?bergehend|sp[aä]e?ter (?:erneut|noch ?mal|wieder)|erneut versuchen|temporairement"
        r"|plus tard"
        r"|temporalmente"
        r"|m[aá]s tarde|temporariamente|mais tarde|temporaneamente|pi[uù]'? tardi|tijdelijk|tymczasow"
        r"|p[oó][zź]niej|do[cč]asn"
        r"|временн|позже|позднее|тимчасов|пізніше|daha sonra|vorruebergeh|m[aá]s adelante|[aä]ter erneut"
        r"|稍后|稍後|暂时|暫時|一時的|しばらく|잠시 후",
    ),
    _text(
        C.REJECTED,
        "they refuse it and do not say why",
        _REFUSED,
    ),
)
