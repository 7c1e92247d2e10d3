// record keeps the frames that pass between clients and servers.
//
//	record tap --label-file FILE --out FILE --pair LISTEN=TARGET=KIND ... relays, and appends every frame to FILE
//	record select --names request-code.ts --out DIR FILE ...             keeps one raw example of each kind of frame
package main

import (
	"bufio"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
)

// recorded is one line of the file that tap writes and select reads.
type recorded struct {
	Label      string `json:"label"`      // which client program ran
	Connection string `json:"connection"` // unique in the file
	Server     string `json:"server"`     // namesrv or broker
	ToServer   bool   `json:"toServer"`
	Raw        string `json:"raw"` // base64 of the whole frame, length included
}

type tap struct {
	labelFile string
	mutex     sync.Mutex
	out       *json.Encoder
}

func main() {
	if len(os.Args) < 2 {
		fail("record tap|select ...")
	}
	switch os.Args[1] {
	case "tap":
		runTap(os.Args[2:])
	case "select":
		runSelect(os.Args[2:])
	default:
		fail("unknown command %s", os.Args[1])
	}
}

func fail(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
	os.Exit(1)
}

type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(v string) error { *l = append(*l, v); return nil }

func runTap(args []string) {
	flags := flag.NewFlagSet("tap", flag.ExitOnError)
	label := flags.String("label-file", "", "file with the name of the client program that runs now, read for each connection")
	out := flags.String("out", "", "file to append to")
	var pairs list
	flags.Var(&pairs, "pair", "LISTEN=TARGET=namesrv|broker")
	_ = flags.Parse(args)
	file, err := os.OpenFile(*out, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		fail("%v", err)
	}
	t := &tap{labelFile: *label, out: json.NewEncoder(file)}
	for _, pair := range pairs {
		parts := strings.Split(pair, "=")
		if len(parts) != 3 {
			fail("--pair %s: LISTEN=TARGET=KIND is needed", pair)
		}
		listener, err := net.Listen("tcp", parts[0])
		if err != nil {
			fail("%v", err)
		}
		go t.serve(listener, parts[1], parts[2])
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	<-stop
	t.mutex.Lock()
	_ = file.Close()
	os.Exit(0)
}

func (t *tap) serve(listener net.Listener, target, kind string) {
	for n := 1; ; n++ {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", target)
		if err != nil {
			_ = client.Close()
			continue
		}
		text, err := os.ReadFile(t.labelFile)
		if err != nil {
			fail("%v", err)
		}
		label := strings.TrimSpace(string(text))
		one := recorded{Label: label, Server: kind, Connection: fmt.Sprintf("%s-%s-%d-%d", label, listener.Addr(), os.Getpid(), n)}
		go t.relay(one, true, client, server)
		go t.relay(one, false, server, client)
	}
}

func (t *tap) relay(one recorded, toServer bool, from, to net.Conn) {
	one.ToServer = toServer
	defer from.Close()
	defer to.Close()
	reader := bufio.NewReaderSize(from, 1<<16)
	for {
		frame := make([]byte, 4)
		if _, err := io.ReadFull(reader, frame); err != nil {
			return
		}
		frame = append(frame, make([]byte, binary.BigEndian.Uint32(frame))...)
		if _, err := io.ReadFull(reader, frame[4:]); err != nil {
			return
		}
		one.Raw = base64.StdEncoding.EncodeToString(frame)
		t.mutex.Lock()
		err := t.out.Encode(one)
		t.mutex.Unlock()
		if err != nil {
			fail("%v", err)
		}
		if _, err := to.Write(frame); err != nil {
			return
		}
	}
}
