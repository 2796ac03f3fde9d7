module github.com/lull-dev/lull/test/images/pause

go 1.26
