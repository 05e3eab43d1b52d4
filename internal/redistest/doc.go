// Package redistest gives tests and benchmarks a real Redis, and a network that
// fails on command. Nothing but tests and the benchmark programs imports it.
//
// A Server is a private redis-server process on a free loopback port. Start is
// for tests, Launch for TestMain and programs. It can be stopped, killed,
// restarted on its port and paused.
//
// A Proxy stands between a client and a server. It reads the commands that
// pass, and can lose a reply, cut before a command, delay, hold, refuse
// connections, or make every round trip longer.
//
//	srv := redistest.Start(t)
//	p := redistest.NewProxy(t, srv.Addr())
//	p.OnRequest(redistest.Once(redistest.DropReply(), "INCR", "counter"))
//	// The next INCR counter is executed, and its client never hears of it.
package redistest
