"""The words and phrases that passwords are made of when people do not think long.

Written for Relevo. Lower case, letters and digits only: other characters, case and the usual
swaps of letters for digits are undone before comparing.
"""

_WORDS = """
    aaron abc123 abcd access account adidas admin administrator admins alex alexander alexandra
    alice amanda america amsterdam andrea andrew andrey angel angela angels animal anna anthony
    apache apollo apple april arsenal ashley asshole august austin autumn azerty babygirl backup
    bailey banana baseball basketball batman battery beach beautiful benjamin berlin bigdog
    biteme blink blue boomer boston brandon brazil britney broncos brooklyn brother buster
    butterfly camaro canada carlos carmen caroline casper celtic center central chance change
    changeme changethis charles charlie charlotte cheese chelsea cherry chester chicago chicken
    chocolate chris christian christmas claude claudia cloud cocacola coffee company compaq
    computer config connect console control cookie cooper corona corporate correct cowboys
    crystal customer daddy dakota dallas daniel daniela danielle database david debug december
    default demo deploy deployer desktop diamond digital disney docker dolphin dolphins domain
    donald dragon eagles eduardo einstein elephant elizabeth email emily eminem enter example
    extreme facebook family father february felix fender ferrari firewall fishing flower flowers
    football forever foxtrot france frankfurt freddy freedom friday friend friends fuckyou
    gabriel galaxy gandalf garden garfield gateway george germany ghost giants ginger gitlab
    github goldfish golfer google gordon green guest guitar hallo hammer hannah happy hardcore
    harley harry heather hello helloworld helpdesk heslo hockey holiday home horse hosting hotdog
    house hunter iceman iloveu iloveyou insecure internet iphone isabella jackson jaguar james
    january jasmine jasper jenkins jennifer jeremy jessica jesus john johnny jonathan jordan
    joseph joshua july june junior justin kennwort keyboard killer king kitty knight kubernetes
    ladies lakers lasvegas lauren legend letmein linux liverpool location login logmein london
    love lovely loveme lover lucky madison madrid magic maggie manager manchester marina mario
    marlboro martin marvin master matrix matthew maverick maximus melissa mercedes merlin
    metallica michael michelle mickey microsoft miguel mike miller minecraft monday money
    monitor monkey monster moon morgan mother motdepasse mountain mozart muffin murphy music
    mustang mypassword mysecret myspace mysql naruto natasha nathan network newpass newpassword
    newyork nicholas nicole nintendo nirvana nissan nothing november number october office
    oliver operator oracle orange pakistan panther paris parola passion passport passphrase
    passw0rd passwd passwort password passwords patricia patrick peace peanut pepper personal
    peter phoenix phone pizza player please pokemon police porsche postgres postgresql power
    prince princess private production promote public pumpkin purple qwerty qwertz rabbit
    rachel raiders rainbow ranger readonly realmadrid rebecca redsox redis register release
    relevo remember remote replace reset richard robert rocket ronaldo root rosebud router
    runner sabrina samantha sammy samsung samuel sandra saturday scooby scorpion scotland
    secret secrets secure security senha september sergey server service shadow shannon simple
    singapore single site sites slayer smokey snoopy snowball soccer sommer sparky spider
    spiderman spring staging staple star startrek starwars static stefan stella steven strong
    student summer sunday sunflower sunny sunshine super superman superuser supervisor support
    sweet sydney sysadmin system taylor teacher temp temporary tennis test tester testing
    testpassword theman thomas thursday thunder tiger tigger tobias tomcat toor toyota
    trustno1 tuesday turtle twitter ubuntu unicorn united unknown upload user username
    vacation valentina vanessa victor victoria viking vincent virginia wachtwoord walter
    warcraft warrior website wednesday weekend welcome welkom whatever william willkommen
    windows winner winston winter wizard wolf wordpress work world xbox yamaha yankees yellow
    yourpassword youtube zaq1 zxcvbn
"""

_PASSWORDS = """
    1q2w3e4r5t6y7u8 allyourbasearebelongtous aquickbrownfoxjumps areyoukiddingme
    attackatdawn bemyvalentine betteroffdead byebyebirdie changeitplease changemeplease
    changethispassword correcthorsebattery correcthorsebatterystaple donotforgetthis
    dontforgetthis dontpanicdontpanic easyaspie123456 enterpasswordhere everythingisawesome
    fillinpasswordhere fourscoreandseven fuckyoufuckyou hakunamatata hasta lavistababy
    helloitsmehello helloworldhello hereisjohnny howareyoutoday ihatepasswords
    iloveyousomuch iloveyouforever iloveyouverymuch imnottellingyou incorrectpassword
    inthebeginning itsasecret letmeinletmein letmeinplease liveandletdie
    livelongandprosper loremipsumdolor loremipsumdolorsitamet maytheforcebewithyou
    mynameisinigomontoya mypasswordispassword mysecurepassword mysupersecretpassword
    neverforgetthis neveragonnagiveyouup nevergonnagiveyouup nopasswordneeded notasecret
    onceuponatime onetwothreefour onetwothreefourfive onetwothreefourfivesix opensesame
    ourfatherwhoartinheaven passwordispassword passwordpassword pleasechangeme
    pleasechangethis pleaseletmein putpasswordhere questionauthority rosesareredvioletsareblue
    supercalifragilistic supercalifragilisticexpialidocious supersecretpassword
    supersecurepassword temporarypassword thequickbrownfox thequickbrownfoxjumps
    thequickbrownfoxjumpsoverthelazydog therecanbeonlyone thisisapassword thisisasecret
    thisismypassword thisisnotapassword thisisthepassword tobeornottobe
    tobeornottobethatisthequestion todayisagoodday topsecretpassword twinkletwinkle
    whatdoesthefoxsay whatisthematrix whatsthepassword whoopsiedaisy winteriscoming
    winterishere wubbalubbadubdub youshallnotpass yourpasswordhere
"""

COMMON_WORDS = frozenset(_WORDS.split())
COMMON_PASSWORDS = frozenset(_PASSWORDS.split())
