package main

// words are what names are made of in a country.
type words struct {
	language     string // of the reference data
	speaks       []string
	given        []string
	families     []string
	patronymics  []string
	together     bool // the family name comes first, and nothing between
	houses       []string
	saints       []string
	streets      []string
	introduction string
}

// person returns a name.
func (w words) person(l luck) string {
	switch {
	case w.together:
		return pick(l, w.families) + pick(l, w.given)
	case w.patronymics != nil:
		return pick(l, w.families) + " " + pick(l, w.given) + " " + pick(l, w.patronymics)
	}
	return pick(l, w.given) + " " + pick(l, w.families) + " " + pick(l, w.families)
}

var treatments = []string{
	"Laser Épilation", "Botox", "Acupunctura", "Branqueamento dentário", "Ozonoterapia", "Osteopatia", "Hipnose clínica", "Nutrição desportiva",
	"Mesoterapia", "Peeling químico", "Homeopatia", "Crioterapia",
}

// wordsOf is by country.
var wordsOf = map[string]words{
	"PT": latin("pt-PT"),
	"BR": latin("pt-BR"),
	"RU": {
		language: "ru", speaks: []string{"ru"},
		given: []string{
			"Александр", "Сергей", "Елена", "Татьяна", "Андрей", "Наталья", "Ольга", "Алексей", "Ирина", "Дмитрий", "Светлана", "Михаил", "Фёдор",
			"Екатерина", "Николай", "Юлия", "Пётр", "Людмила", "Артём", "Семён", "Зинаида", "Ярослав", "Кирилл", "Вера",
		},
		families: []string{
			"Иванова", "Смирнов", "Кузнецова", "Попов", "Васильева", "Петров", "Соколова", "Михайлов", "Новикова", "Фёдоров", "Морозова", "Волков",
			"Алексеева", "Лебедев", "Семёнова", "Егоров", "Павлова", "Козлов", "Степанова", "Николаев", "Орлова", "Андреев", "Макарова", "Никитин",
			"Захарова", "Зайцев", "Соловьёва", "Борисов", "Яковлева", "Григорьев", "Романова", "Воробьёв", "Сергеева", "Кузьмин", "Фролова",
			"Александров", "Дмитриева", "Королёв", "Гусева", "Киселёв", "Ильина", "Максимов", "Полякова", "Сорокин", "Виноградова", "Ковалёв",
			"Белова", "Медведев", "Антонова", "Тарасов", "Жукова", "Баранов", "Филиппова", "Комаров", "Давыдова", "Беляев", "Герасимова", "Щербаков",
		},
		patronymics: []string{"Александровна", "Сергеевич", "Ивановна", "Петрович", "Николаевна", "Андреевич", "Михайловна", "Фёдорович"},
		houses:      []string{"Клиника", "Медицинский центр", "Поликлиника", "Больница", "Стоматология"},
		saints: []string{
			"Здоровье", "Доктор рядом", "Святой Лука", "Надежда", "Северная", "Гармония", "Панацея", "Ромашка", "Альфа", "Семейная", "Центральная", "Виктория",
		},
		streets:      []string{"улица Ленина", "проспект Мира", "Садовая улица", "улица Гагарина", "Советская улица", "набережная реки Мойки", "Лесная улица"},
		introduction: "Приём взрослых и детей, опыт работы в крупных клиниках, внимательное отношение.",
	},
	"KR": {
		language: "ko", speaks: []string{"ko"}, together: true,
		given: []string{
			"민준", "서연", "지훈", "수진", "철수", "영희", "현우", "지은", "도윤", "하은", "성민", "미경", "준호", "은주", "동현", "혜진", "상훈", "유진", "태호", "소영",
			"재석", "나래", "기범", "보라", "승현", "다은", "진우", "예린", "시우", "하늘", "정국", "윤아", "우진", "채원", "건우", "가영",
		},
		families: []string{
			"김", "이", "박", "최", "정", "강", "조", "윤", "장", "임", "한", "오", "서", "신", "권", "황", "안", "송", "전", "홍", "유", "고", "문", "양", "손", "배",
		},
		houses: []string{"서울의원", "연세병원", "행복의원", "우리병원", "메디컬센터"},
		saints: []string{
			"한빛", "사랑", "미래", "푸른", "하나", "중앙", "새봄", "가온", "늘봄", "참좋은", "성모", "제일",
		},
		streets:      []string{"강남대로", "테헤란로", "중앙로", "세종대로", "해운대로", "충장로", "시청로"},
		introduction: "환자의 이야기를 먼저 듣고, 꼭 필요한 진료만 합니다. 대학병원에서 오래 진료하였습니다.",
	},
}

func latin(tag string) words {
	return words{
		language: "pt", speaks: []string{tag},
		given: []string{
			"Maria", "João", "Ana", "José", "António", "Inês", "Luís", "Beatriz", "Tomás", "Mariana", "Sofia", "Gonçalo", "Catarina", "Miguel", "Joana",
			"Rui", "Cláudia", "André", "Patrícia", "Sérgio", "Mónica", "Nuno", "Vítor", "Helena", "Lúcia", "Fábio", "Márcia", "Simão", "Graça", "Zélia",
		},
		families: []string{
			"Silva", "Santos", "Ferreira", "Pereira", "Oliveira", "Costa", "Rodrigues", "Martins", "Sousa", "Fernandes", "Gonçalves", "Gomes", "Lopes",
			"Marques", "Alves", "Almeida", "Ribeiro", "Pinto", "Carvalho", "Teixeira", "Moreira", "Correia", "Mendes", "Nunes", "Soares", "Vieira",
			"Monteiro", "Cardoso", "Rocha", "Neves", "Coelho", "Cruz", "Cunha", "Pires", "Ramos", "Reis", "Simões", "Antunes", "Matos", "Fonseca",
			"Machado", "Araújo", "Barbosa", "Tavares", "Lourenço", "Castro", "Figueiredo", "Azevedo", "Freitas", "Magalhães", "Henriques", "Gaspar",
			"Guimarães", "Brandão", "Assunção", "Ávila", "Falcão", "Galvão", "Sequeira", "Quintão", "Vasconcelos", "Meireles", "Patrício", "Bragança",
		},
		houses: []string{"Clínica", "Centro Médico", "Hospital", "Policlínica", "Consultório"},
		saints: []string{
			"São Rafael", "da Boavista", "Santa Luzia", "do Parque", "Nossa Senhora da Saúde", "Central", "São João", "das Flores", "do Coração", "Família",
			"Bom Jesus", "Vitória",
		},
		streets: []string{
			"Rua das Flores", "Avenida da Liberdade", "Rua de São Bento", "Praça da República", "Rua Direita", "Avenida Atlântica", "Travessa do Carmo",
		},
		introduction: "Consultas de adultos e crianças, com atenção à história de cada pessoa e anos de experiência hospitalar.",
	}
}
