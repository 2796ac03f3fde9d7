module github.com/lull-dev/lull/test/images/servers

go 1.26
