package main

import (
	"bufio"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"
)

// variantsMax is how many examples of one kind are kept that differ in the names of their extFields.
const variantsMax = 6

// bodyMax: a larger example is kept only when no smaller one of its kind was seen.
const bodyMax = 6000

type header struct {
	Code      int               `json:"code"`
	Language  string            `json:"language"`
	Version   int               `json:"version"`
	Opaque    int               `json:"opaque"`
	Flag      int               `json:"flag"`
	Remark    *string           `json:"remark"`
	ExtFields map[string]string `json:"extFields"`
}

type example struct {
	Name          string  `json:"name"`
	From          string  `json:"from"`
	To            string  `json:"to"`
	Client        string  `json:"client"`
	Direction     string  `json:"direction"`
	RequestCode   int     `json:"requestCode"`
	RequestName   string  `json:"requestName"`
	Serialization string  `json:"serialization"`
	Header        header  `json:"header"`
	BodyLength    int     `json:"bodyLength"`
	BodyText      *string `json:"bodyText,omitempty"`
	raw           []byte
	variant       string
}

var languages = []string{"JAVA", "CPP", "DOTNET", "PYTHON", "DELPHI", "ERLANG", "RUBY", "OTHER", "HTTP", "GO", "PHP", "OMS", "RUST", "NODE_JS"}

func runSelect(args []string) {
	flags := flag.NewFlagSet("select", flag.ExitOnError)
	names := flags.String("names", "", "source file with NAME: code pairs")
	out := flags.String("out", "", "folder")
	_ = flags.Parse(args)
	codes := readNames(*names)
	kinds := map[string][]*example{}
	for _, file := range flags.Args() {
		collect(file, codes, kinds)
	}
	write(*out, kinds)
}

func readNames(path string) map[int]string {
	text, err := os.ReadFile(path)
	if err != nil {
		fail("%v", err)
	}
	names := map[int]string{}
	for _, match := range regexp.MustCompile(`(?m)^\s+([A-Z][A-Z0-9_]+): (-?\d+),`).FindAllSubmatch(text, -1) {
		code, _ := strconv.Atoi(string(match[2]))
		names[code] = string(match[1])
	}
	return names
}

func collect(file string, codes map[int]string, kinds map[string][]*example) {
	input, err := os.Open(file)
	if err != nil {
		fail("%v", err)
	}
	defer input.Close()
	var frames []recorded
	scanner := bufio.NewScanner(input)
	scanner.Buffer(make([]byte, 1<<20), 64<<20)
	for scanner.Scan() {
		var frame recorded
		if err := json.Unmarshal(scanner.Bytes(), &frame); err != nil {
			fail("%s: %v", file, err)
		}
		frames = append(frames, frame)
	}
	ofBroker := map[string]bool{} // connections that a broker opened to a name server
	for _, frame := range frames {
		one := decode(frame)
		if frame.Server == "namesrv" && frame.ToServer && one.Header.Flag&1 == 0 {
			switch one.Header.Code {
			case 103, 104, 322, 901, 904:
				ofBroker[frame.Connection] = true
			}
		}
	}
	asked := map[string]int{} // connection, who asked, opaque: request code
	for _, frame := range frames {
		one := decode(frame)
		one.Client = frame.Label
		peer := frame.Label
		if ofBroker[frame.Connection] {
			peer, one.Client = "broker", "broker"
		}
		one.From, one.To = peer, frame.Server
		if !frame.ToServer {
			one.From, one.To = frame.Server, peer
		}
		one.RequestCode = one.Header.Code
		outcome := ""
		if one.Header.Flag&1 == 0 {
			one.Direction = "request"
			if one.Header.Flag&2 != 0 {
				outcome = "oneway"
			}
			asked[fmt.Sprint(frame.Connection, frame.ToServer, one.Header.Opaque)] = one.Header.Code
		} else {
			one.Direction = "response"
			code, known := asked[fmt.Sprint(frame.Connection, !frame.ToServer, one.Header.Opaque)]
			if !known {
				continue
			}
			one.RequestCode = code
			outcome = strconv.Itoa(one.Header.Code)
		}
		name, known := codes[one.RequestCode]
		if !known {
			name = "CODE_" + strconv.Itoa(one.RequestCode)
		}
		one.RequestName = name
		slug := strings.ToLower(strings.ReplaceAll(name, "_", "-"))
		kind := strings.Join([]string{peer, frame.Server, slug, one.Direction}, ".")
		if outcome != "" {
			kind += "-" + outcome
		}
		if !frame.ToServer && one.Direction == "request" || frame.ToServer && one.Direction == "response" {
			kind = strings.Join([]string{peer, "from-" + frame.Server, slug, one.Direction}, ".")
			if outcome != "" {
				kind += "-" + outcome
			}
		}
		keep(kinds, kind, &one)
	}
}

func keep(kinds map[string][]*example, kind string, one *example) {
	var fields []string
	for name := range one.Header.ExtFields {
		fields = append(fields, name)
	}
	sort.Strings(fields)
	one.variant = strings.Join(fields, ",") + bodyShape(one)
	for at, other := range kinds[kind] {
		if other.variant == one.variant && other.Serialization == one.Serialization {
			if other.BodyLength > bodyMax && one.BodyLength < other.BodyLength {
				kinds[kind][at] = one
			}
			return
		}
	}
	if len(kinds[kind]) < variantsMax {
		kinds[kind] = append(kinds[kind], one)
	}
}

// bodyShape tells apart bodies of one code that carry different things.
func bodyShape(one *example) string {
	if one.BodyLength == 0 {
		return " empty"
	}
	shape := " body"
	if one.RequestCode == 34 && one.BodyText != nil {
		for _, part := range []string{`"consumerDataSet":[]`, `"producerDataSet":[]`, `"withoutSub":true`, `BROADCASTING`} {
			if strings.Contains(*one.BodyText, part) {
				shape += " " + part
			}
		}
	}
	return shape
}

func decode(frame recorded) example {
	raw, err := base64.StdEncoding.DecodeString(frame.Raw)
	if err != nil {
		fail("%v", err)
	}
	size := int(binary.BigEndian.Uint32(raw[4:]) & 0xffffff)
	text, body := raw[8:8+size], raw[8+size:]
	one := example{raw: raw, BodyLength: len(body)}
	if raw[4] == 0 {
		one.Serialization = "JSON"
		if err := json.Unmarshal(text, &one.Header); err != nil {
			fail("%s: %v", text, err)
		}
	} else {
		one.Serialization = "ROCKETMQ"
		one.Header = decodeBinary(text)
	}
	if one.Header.ExtFields == nil {
		one.Header.ExtFields = map[string]string{}
	}
	if len(body) > 0 && utf8.Valid(body) && !strings.ContainsRune(string(body), 0) {
		shown := string(body)
		one.BodyText = &shown
	}
	return one
}

func decodeBinary(b []byte) header {
	var h header
	h.Code = int(int16(binary.BigEndian.Uint16(b)))
	h.Language = languages[b[2]]
	h.Version = int(int16(binary.BigEndian.Uint16(b[3:])))
	h.Opaque = int(int32(binary.BigEndian.Uint32(b[5:])))
	h.Flag = int(int32(binary.BigEndian.Uint32(b[9:])))
	n := int(binary.BigEndian.Uint32(b[13:]))
	if n > 0 {
		remark := string(b[17 : 17+n])
		h.Remark = &remark
	}
	b = b[17+n:]
	n = int(binary.BigEndian.Uint32(b))
	h.ExtFields = map[string]string{}
	for b = b[4 : 4+n]; len(b) > 0; {
		k := int(binary.BigEndian.Uint16(b))
		key := string(b[2 : 2+k])
		v := int(binary.BigEndian.Uint32(b[2+k:]))
		h.ExtFields[key] = string(b[6+k : 6+k+v])
		b = b[6+k+v:]
	}
	return h
}

func write(folder string, kinds map[string][]*example) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		fail("%v", err)
	}
	for _, pattern := range []string{"*.bin", "*.json"} {
		old, _ := filepath.Glob(filepath.Join(folder, pattern))
		for _, path := range old {
			_ = os.Remove(path)
		}
	}
	total, count := 0, 0
	for kind, examples := range kinds {
		for at, one := range examples {
			one.Name = kind
			if at > 0 {
				one.Name += "-" + strconv.Itoa(at+1)
			}
			text, err := json.MarshalIndent(one, "", "  ")
			if err != nil {
				fail("%v", err)
			}
			if err := os.WriteFile(filepath.Join(folder, one.Name+".bin"), one.raw, 0o644); err != nil {
				fail("%v", err)
			}
			if err := os.WriteFile(filepath.Join(folder, one.Name+".json"), append(text, '\n'), 0o644); err != nil {
				fail("%v", err)
			}
			total += len(one.raw) + len(text)
			count++
		}
	}
	fmt.Printf("%d examples, %d bytes\n", count, total)
}
