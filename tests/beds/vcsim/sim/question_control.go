package main

import (
	"encoding/json"
	"fmt"

	"github.com/vmware/govmomi/vim25/types"
)

// ask blocks a VM on a question.
func ask(s *simulation, raw json.RawMessage) (interface{}, error) {
	var wanted struct {
		Text    string   `json:"text"`
		Choices []string `json:"choices"`
		Default int32    `json:"default"`
	}
	vm, err := ofMachine(raw, &wanted)
	if err != nil {
		return nil, err
	}
	s.questions++
	question := &types.VirtualMachineQuestionInfo{Id: fmt.Sprint(s.questions), Text: wanted.Text}
	for i, choice := range wanted.Choices {
		question.Choice.ChoiceInfo = append(question.Choice.ChoiceInfo, &types.ElementDescription{
			Description: types.Description{Label: choice, Summary: choice}, Key: fmt.Sprint(i),
		})
	}
	question.Choice.DefaultIndex = wanted.Default
	vm.Runtime.Question, vm.Summary.Runtime.Question = question, question
	return question.Id, nil
}
